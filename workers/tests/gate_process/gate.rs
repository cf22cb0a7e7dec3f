//! The driver gate as a process, for this crate's tests: `valet-gate --config <file>`.

use std::path::PathBuf;
use std::process::ExitCode;

use valet_workers::gate::{self, GateConfig};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, flag, file] = arguments.as_slice() else {
        eprintln!("usage: valet-gate --config <file>");
        return ExitCode::from(2);
    };
    if flag != "--config" {
        eprintln!("usage: valet-gate --config <file>");
        return ExitCode::from(2);
    }
    let ran = match GateConfig::read(&PathBuf::from(file)) {
        Ok(config) => gate::run(config).await,
        Err(error) => Err(error),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
