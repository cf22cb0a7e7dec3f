//! What a run does with every command in every state, and the rules that hold beyond single commands.

mod it {
    mod bounds;
    mod builds;
    mod by_hand;
    mod code;
    mod declared;
    mod declared_check;
    mod endings;
    mod entries;
    mod expressions;
    mod fans;
    mod folding;
    mod forks;
    mod hosts;
    mod interleavings;
    mod money;
    mod onward;
    mod outside;
    mod people;
    mod placement;
    mod program;
    mod published;
    mod replay;
    mod retries;
    mod steps;
    mod subject;
    mod table;
}
