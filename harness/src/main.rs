//! The binary `ukci`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ukci::cli::main()
}
