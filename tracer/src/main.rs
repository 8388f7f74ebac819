//! The `tracer` command; see `tracer --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracer::cli::main(std::env::args_os())
}
