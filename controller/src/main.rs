//! The `cairn` binary.

mod driver;
mod local;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = local::supervisor::branch() {
        return code;
    }
    ExitCode::SUCCESS
}
