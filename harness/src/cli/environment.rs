//! `ukci exec`: runs a command in the environment in which the project compiles.

use std::os::unix::process::ExitStatusExt;

use super::args::ExecArgs;
use super::failure::Failure;
use super::screen::Screen;
use super::workshop::Workshop;
use crate::matrix::Arch;
use crate::process::Command;
use crate::provision::coverage_tools;

pub(super) async fn exec(args: ExecArgs) -> Result<u8, Failure> {
    let workshop = Workshop::open(args.matrix.matrix.as_deref(), Screen::new(false))?;
    let spec = &workshop.project.spec;
    let newest = spec.llvm_versions().first().copied();
    let llvm = match args.llvm {
        Some(llvm) if !spec.llvm_versions().contains(&llvm) => {
            return Err(Failure::Usage(format!(
                "--llvm `{llvm}` is not in the matrix (known: {:?})",
                spec.llvm_versions()
            )));
        }
        given => given.or(newest).ok_or_else(|| Failure::Usage("the matrix has no LLVM".into()))?,
    };
    let host =
        Arch::host().ok_or_else(|| Failure::Usage("this machine's architecture is none of the matrix's".into()))?;
    let toolchain = workshop.toolchain(host, llvm).await?;
    // OK because clap demands a command.
    let Some((program, rest)) = args.command.split_first() else { return Ok(2) };
    let tools = coverage_tools(&workshop.archive, spec, llvm).await?;
    let mut command = Command::new(program).args(rest).inherit();
    command = command.env("LLVM_COV", tools.llvm_cov).env("LLVM_PROFDATA", tools.llvm_profdata);
    for (key, value) in toolchain.env() {
        command = command.env(key, value);
    }
    let status = command.spawn()?.wait().await?;
    // As a shell reports a death by signal.
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(u8::try_from(code).unwrap_or(1))
}
