//! `ukci doctor`: what this machine has, what stands in for what it lacks, and what is missing.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use serde::Serialize;

use super::args::DoctorArgs;
use super::failure::Failure;
use super::screen::Screen;
use super::workshop::Workshop;
use crate::archive::Settings;
use crate::matrix::{Arch, Filter, Plan};
use crate::project::Project;
use crate::provision::program;
use crate::provision::{AccelWish, Provisioner, in_background, qemu};
use crate::vm::machine::Accel;

/// What was found of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is there.
    Ok,
    /// Something else does its work.
    Fallback,
    /// Nothing does.
    Missing,
}

/// One line.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    state: State,
    found: String,
    /// The way out.
    hint: Option<String>,
}

fn finding(what: impl Into<String>, state: State, found: impl Into<String>) -> Finding {
    Finding { what: what.into(), state, found: found.into(), hint: None }
}

impl Finding {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

pub(super) async fn doctor(args: DoctorArgs) -> Result<u8, Failure> {
    let workshop = Workshop::open(args.matrix.as_deref(), Screen::quiet())?;
    let mut findings: Vec<Finding> = ["cargo", "rustc", "cc", "make"].map(tool).into();
    findings.push(mirror());
    findings.push(archive(&workshop).await);
    for &arch in workshop.project.spec.arches.keys() {
        findings.push(emulator(arch).await);
    }
    findings.push(kvm(&workshop).await);
    findings.extend(workshop.project.spec.llvm_versions().into_iter().map(|llvm| clang(&workshop.project, llvm)));
    findings.push(disk("store", workshop.archive.store().root()));
    findings.push(disk("target", &workshop.project.root));
    if args.json {
        let json = serde_json::to_string_pretty(&findings).map_err(|error| Failure::Broken(error.to_string()))?;
        super::print(&format!("{json}\n"))?;
    } else {
        super::print(&text(&findings))?;
    }
    Ok(u8::from(findings.iter().any(|finding| finding.state == State::Missing)))
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { what, state, found, hint } in findings {
        let state = match state {
            State::Ok => "ok",
            State::Fallback => "fallback",
            State::Missing => "missing",
        };
        let first_line = found.lines().next().unwrap_or_default();
        text += &format!("{what:width$}  {state:8}  {first_line}\n");
        if let Some(hint) = hint {
            text += &format!("{:width$}            hint: {hint}\n", "");
        }
    }
    text
}

fn tool(name: &str) -> Finding {
    match program::on_path(name) {
        Some(path) => finding(name, State::Ok, path.display().to_string()),
        None => finding(name, State::Missing, "not on the PATH").hint(match name {
            "cargo" | "rustc" => "install Rust with rustup",
            _ => "install the package `build-essential`, or your system's like",
        }),
    }
}

fn mirror() -> Finding {
    match Settings::from_env().discover() {
        Ok(mirror) => finding("mirror", State::Ok, format!("{}, keys in {}", mirror.main, mirror.keyring.display())),
        Err(error) => finding("mirror", State::Missing, error.to_string()).hint("set UKCI_MIRROR and UKCI_KEYRING"),
    }
}

/// Whether the archive's index can be had, be it from the store.
async fn archive(workshop: &Workshop) -> Finding {
    let (archive, suite) = (workshop.archive.clone(), workshop.project.spec.archive.tools.clone());
    let host = Arch::host().unwrap_or(Arch::X86_64);
    match in_background(move || archive.index(&suite, host).map(|index| index.names("").len())).await {
        Ok(count) => {
            finding("archive", State::Ok, format!("{count} packages in `{}`", workshop.project.spec.archive.tools))
        }
        Err(error) => finding("archive", State::Missing, error.to_string()),
    }
}

async fn emulator(arch: Arch) -> Finding {
    let what = format!("QEMU {arch}");
    match qemu::system(arch).await {
        Ok(qemu) => finding(what, State::Ok, format!("{} at {}", qemu.version, qemu.program.display())),
        Err(reason) => finding(what, State::Fallback, format!("{reason}; the archive's copy is used")),
    }
}

/// Whether KVM works, found as `ukci run` finds it.
async fn kvm(workshop: &Workshop) -> Finding {
    let what = "KVM";
    let slower = "guests are emulated, which is slower";
    if let Err(error) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return finding(what, State::Fallback, format!("{slower}: cannot open `/dev/kvm`: {error}"));
    }
    match probe(workshop).await {
        Ok(Accel::Kvm) => finding(what, State::Ok, "a guest booted with it"),
        Ok(Accel::Tcg) => finding(what, State::Fallback, slower),
        Err(error) => finding(what, State::Fallback, format!("{slower}: {error}")),
    }
}

async fn probe(workshop: &Workshop) -> Result<Accel, Failure> {
    let Workshop { project, archive, .. } = workshop;
    let arches = Arch::host().into_iter().collect();
    let plan = Plan::expand(&project.spec, &Filter { arches, ..Filter::default() })?;
    let job = plan.jobs().last().ok_or_else(|| Failure::Usage("the matrix has no cell for this machine".into()))?;
    let scratch = archive.store().scratch()?;
    let provisioner = Provisioner::new(archive.clone(), project.clone(), AccelWish::Kvm, false, scratch.path())?;
    let inputs = provisioner.prepare(job).await?;
    Ok(provisioner.accel(&inputs).await?)
}

fn clang(project: &Project, llvm: u32) -> Finding {
    let what = format!("clang {llvm}");
    match program::on_path(&format!("clang-{llvm}")) {
        Some(path) => finding(what, State::Ok, path.display().to_string()),
        None => {
            let suite = project.spec.llvm_suite(llvm);
            finding(what, State::Fallback, format!("no `clang-{llvm}` on this machine; the copy of `{suite}` is used"))
        }
    }
}

fn disk(what: &str, path: &Path) -> Finding {
    /// What a run of the whole matrix takes from zero, with some room.
    const NEEDED_MIB: u64 = 4096;
    let what = format!("disk: {what}");
    match statvfs(path) {
        Err(error) => finding(what, State::Missing, format!("cannot look at `{}`: {error}", path.display())),
        Ok(status) => {
            let free_mib = status.blocks_available() * status.fragment_size() / (1 << 20);
            let found = format!("{} GiB free at {}", free_mib / 1024, path.display());
            match free_mib {
                NEEDED_MIB.. => finding(what, State::Ok, found),
                _ => finding(what, State::Missing, found).hint("`ukci cache prune`, or UKCI_STORE on another disk"),
            }
        }
    }
}
