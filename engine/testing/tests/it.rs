//! The kit finds what it is there to find, and runs what is in order.

mod it {
    mod contracts;
    mod engine;
    mod operators;
    mod workflows;
}
