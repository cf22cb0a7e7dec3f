//! The `valet` program with the workflows that it ships.

fn main() {
    valet::main(valet::Registry::new(0))
}
