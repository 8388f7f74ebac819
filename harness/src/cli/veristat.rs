//! `ukci veristat`: loads given objects on every kernel.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bpf_complexity::elf;
use jiff::Timestamp;

use super::args::VeristatArgs;
use super::begin::untouched;
use super::failure::Failure;
use super::plan::refuse_nothing;
use super::run::{self, Ran, Work};
use super::screen::{self, Screen};
use super::workshop::Workshop;
use crate::complexity::{self, Export, Table};
use crate::matrix::{Expectations, Plan, Tests};
use crate::provision::{LoadObject, Provisioner};
use crate::run::directory::RunDirectory;
use crate::run::{History, Schedule, TestOptions};

pub(super) async fn veristat(args: VeristatArgs) -> Result<u8, Failure> {
    let json = args.json;
    let ran = execute(args).await?;
    let written = ran.write_reports();
    let directory = ran.directory.path();
    let (found, problems) = complexity::collect(directory, &ran.outcome);
    let table = Table::new(&ran.outcome, &found);
    if json {
        super::print(&super::complexity::json(&Export::new(&ran.outcome.id, &table))?)?;
    } else {
        let style = screen::style(&std::io::stdout());
        super::print(&complexity::render::render(&table, style))?;
        if !ran.outcome.cells.iter().all(|cell| table.cells.contains(&cell.id)) {
            // Of the kernels that gave no answer, the run's own table says why.
            super::print(&format!("\n{}", run::table(&ran.outcome, directory)))?;
        }
    }
    problems.iter().for_each(|problem| super::print_error(&format!("warning: {problem}\n")));
    written?;
    ran.exit_code()
}

/// Loads the objects, and leaves a record.
pub(super) async fn execute(args: VeristatArgs) -> Result<Ran, Failure> {
    if !args.filter.llvm.is_empty() {
        return Err(Failure::Usage("--llvm: objects are compiled already, by whichever LLVM".into()));
    }
    let objects = inspect(&args.objects)?;
    let workshop = Workshop::open(args.matrix.matrix.as_deref(), Screen::new(args.no_progress))?;
    let Workshop { project, archive, screen } = workshop;
    let llvm: BTreeSet<u32> = objects.iter().map(|object| object.llvm).collect();
    let llvm: Vec<u32> = llvm.into_iter().rev().collect();
    let plan = Plan::expand(&project.spec, &args.filter.filter())?.with_llvm(&llvm);
    refuse_nothing(&plan)?;
    let now = Timestamp::now();
    let directory = match &args.out {
        Some(path) => RunDirectory::at(path, now)?,
        None => RunDirectory::create(&project.target.join("ukci/veristat"), now)?,
    };
    let tests = TestOptions {
        tests: Tests::All,
        only: Vec::new(),
        once: Vec::new(),
        env: std::collections::BTreeMap::new(),
        deadline: Duration::try_from(project.spec.project.test_timeout).unwrap_or(Duration::MAX),
        expectations: Expectations::default(),
        capabilities: None,
        coverage: None,
    };
    let schedule = Schedule::new(run::slots(args.jobs), History::read(&project.runs()));
    let store = archive.store().clone();
    let wish = run::wish(args.accel);
    let provisioner = Provisioner::new(archive, project, wish, args.matrix.locked, directory.path())?;
    let provisioner = provisioner.with_objects(objects);
    let outcome = untouched(&plan, &directory, now, &[], false);
    Work { plan, provisioner, tests, directory, outcome, schedule, screen, store }.carry_out().await
}

/// Makes sure that each file is an object that can be loaded, and finds out which LLVM compiled it.
fn inspect(files: &[PathBuf]) -> Result<Vec<LoadObject>, Failure> {
    let mut objects: Vec<LoadObject> = Vec::new();
    for path in files {
        let wrong = |why: &dyn std::fmt::Display| Failure::Usage(format!("{}: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| wrong(&format!("cannot read it: {error}")))?;
        let name = elf::name_of(path);
        let object = elf::inspect(&name, &bytes).map_err(|error| wrong(&error))?;
        let llvm = object.clang.as_ref().and_then(|clang| clang.split('.').next()?.parse().ok()).unwrap_or_default();
        if let Some(other) = objects.iter().find(|other| other.name == name) {
            let other = other.path.display();
            return Err(wrong(&format!("expected objects with names of their own, found another `{name}`: {other}")));
        }
        objects.push(LoadObject { name, path: absolute(path), llvm });
    }
    Ok(objects)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_no_directory| path.to_owned())
}
