//! The stack against real servers, each test in directories of its own.

mod it {
    mod databases;
    mod external;
    mod failures;
    mod leftovers;
    mod lifecycle;
    mod owner;
    mod places;
    mod probe;
    mod temporary;
}
