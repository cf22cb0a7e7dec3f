//! The `valet` program with the workflows that it ships.

fn main() -> std::process::ExitCode {
    valet::main(valet_workflows::registry())
}
