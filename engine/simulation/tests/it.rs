//! The simulation itself, and that its model of the store answers like the real one.

mod it {
    mod conformance;
    mod seeds;
    mod steered;
}
