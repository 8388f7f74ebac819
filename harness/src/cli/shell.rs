//! `ukci shell`: a root shell, or one command, in a kernel's VM.

use std::time::Duration;

use super::args::ShellArgs;
use super::failure::Failure;
use super::screen::Screen;
use super::workshop::Workshop;
use crate::matrix::{Arch, Filter, Job, Plan};
use crate::provision::{AccelWish, Provisioner};
use crate::vm::ssh::Exit;
use crate::vm::{Vm, ssh};

pub(super) async fn shell(args: ShellArgs) -> Result<u8, Failure> {
    let workshop = Workshop::open(args.matrix.matrix.as_deref(), Screen::new(false))?;
    let job = the_job(&workshop, &args.kernel, args.arch)?;
    let logs = workshop.project.target.join("ukci/shell");
    std::fs::create_dir_all(&logs)
        .map_err(|error| Failure::Broken(format!("cannot make `{}`: {error}", logs.display())))?;
    let Workshop { project, archive, .. } = workshop;
    let provisioner = Provisioner::new(archive, project, AccelWish::Best, args.matrix.locked, &logs)?;
    let inputs = provisioner.prepare(&job).await?;
    let mut bundles = Vec::new();
    if args.bundle
        && let Some(&newest) = job.llvm.first()
    {
        bundles.push(provisioner.bundle(job.arch, newest).await.map_err(|error| Failure::Broken(error.to_string()))?);
    }
    let machine = provisioner.machine(&inputs, &bundles).await?;
    let deadlines = provisioner.deadlines(job.arch, machine.accel);
    let mut vm = Vm::boot(&inputs.qemu, &machine, &logs, provisioner.private(), deadlines).await?;
    let session = vm.connect(provisioner.keys()).await?;
    let exit = match args.command.as_slice() {
        [] => session.shell().await?,
        words => command(&session, words).await?,
    };
    vm.power_off(Some(session)).await?;
    Ok(match exit {
        Exit::Code(code) => u8::try_from(code).unwrap_or(1),
        Exit::Signal(_) | Exit::TimedOut => 1,
    })
}

/// Runs the words as one command and prints what it printed.
async fn command(session: &ssh::Session, words: &[String]) -> Result<Exit, Failure> {
    /// A person who waits longer than an hour uses the shell.
    const DEADLINE: Duration = Duration::from_secs(3600);
    let line: Vec<String> = words.iter().map(|word| ssh::quote(word)).collect();
    let output = session.run(&line.join(" "), DEADLINE).await?;
    super::print(&String::from_utf8_lossy(&output.stdout))?;
    super::print_error(&String::from_utf8_lossy(&output.stderr));
    Ok(output.exit)
}

/// The job of the one kernel that is meant.
pub(super) fn the_job(workshop: &Workshop, kernel: &str, arch: Option<Arch>) -> Result<Job, Failure> {
    let arches = arch.or_else(Arch::host).into_iter().collect();
    let filter = Filter { kernels: vec![kernel.to_owned()], arches, ..Filter::default() };
    let plan = Plan::expand(&workshop.project.spec, &filter)?;
    let reason = || plan.cells().iter().find_map(|cell| cell.not_run.clone()).unwrap_or_default();
    plan.jobs()
        .first()
        .cloned()
        .ok_or_else(|| Failure::Usage(format!("kernel `{kernel}` does not run here: {}", reason())))
}
