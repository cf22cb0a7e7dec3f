//! The messages that cross process boundaries, held by golden files.

mod it {
    mod golden;
    mod messages;
}
