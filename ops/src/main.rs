//! The `valet` program with the workflows that it ships.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    valet::main(valet::Registry::new(0))
}
