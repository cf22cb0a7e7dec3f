//! `valet` with the harness's workflow: what the tests start as engines and workers.

fn main() {
    valet_tests::program::main()
}
