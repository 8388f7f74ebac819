//! For whoever reports: profiles and the objects that they are of become lcov. Main type: [`Exporter`].

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use lcov;
use lcov::Report;
use tempfile::TempDir;
use thiserror::Error;

mod objects;
mod paths;
mod profile;

pub use self::objects::{Objects, ObjectsError};
use self::profile::Profile;
use crate::elf::Counted;
use crate::{ElfError, LIBBPF_HEADERS, Mode};

/// The LLVM programs that read profiles, of a release that is not older than the clang that compiled.
#[derive(Clone, Debug)]
pub struct Tools {
    /// `llvm-profdata`.
    pub llvm_profdata: PathBuf,
    /// `llvm-cov`.
    pub llvm_cov: PathBuf,
}

/// Turns profiles into lcov.
#[derive(Debug)]
pub struct Exporter {
    tools: Tools,
    /// What paths are relative to.
    repository: PathBuf,
    scratch: TempDir,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ExportError {
    /// No profiles were given.
    #[error("no profiles")]
    NoProfiles,
    /// The object is not one with coverage.
    #[error("`{}`: {source}", object.display())]
    Elf {
        /// The object.
        object: PathBuf,
        /// Why.
        source: ElfError,
    },
    /// A profile is damaged.
    #[error("`{}`: line {line}: {what}", path.display())]
    Profile {
        /// The profile.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A profile is of another object.
    #[error("`{}` is not a profile of `{}`: {what}", profile.display(), object.display())]
    Mismatch {
        /// The profile.
        profile: PathBuf,
        /// The object.
        object: PathBuf,
        /// What differs.
        what: String,
    },
    /// A tool failed.
    #[error("`{}` failed ({status}): {message}{}", tool.display(), hint(message))]
    Tool {
        /// The program.
        tool: PathBuf,
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// A report names a file that is not in the repository.
    #[error(
        "the report names `{}`, which is not in `{}`\n  hint: `SkeletonBuilder::repository` of the build that made the object must be that directory, as it was then",
        path.display(), repository.display()
    )]
    Outside {
        /// The file.
        path: PathBuf,
        /// The repository.
        repository: PathBuf,
    },
    /// llvm-cov wrote something else than lcov.
    #[error("llvm-cov's lcov cannot be read: {0}")]
    Lcov(#[from] lcov::report::ParseError),
    /// A file cannot be read or written.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
}

fn hint(message: &str) -> &'static str {
    if message.contains("version") { "\n  hint: its LLVM release must not be older than the compiler's" } else { "" }
}

impl ExportError {
    fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { doing, path: path.to_owned(), source }
    }
}

impl Exporter {
    /// Reports with paths relative to `repository`.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub fn new(tools: Tools, repository: &Path) -> Result<Self, ExportError> {
        let repository = std::path::absolute(repository).map_err(ExportError::file("find", repository))?;
        let scratch = TempDir::new().map_err(ExportError::file("make a directory in", &std::env::temp_dir()))?;
        Ok(Self { tools, repository, scratch })
    }

    /// The lcov of a BPF object, as clang wrote it, from text profiles. Files of libbpf's headers are left out.
    ///
    /// # Errors
    /// When object or profiles are damaged or do not fit together, a tool fails, or a path is not in the repository.
    pub fn bpf(&self, object: &Path, profiles: &[PathBuf]) -> Result<Report, ExportError> {
        check(object, profiles)?;
        let report = self.export(&[object.to_owned()], &self.merge(profiles)?, &[&ignored_headers()])?;
        paths::in_repository(report, &self.repository)
    }

    /// The lcov of instrumented executables, from raw profiles. Files that are not in the repository are left out: those
    /// of dependencies and of the standard library.
    ///
    /// # Errors
    /// When a tool fails.
    pub fn userspace(&self, executables: &[PathBuf], profiles: &[PathBuf]) -> Result<Report, ExportError> {
        let report = self.export(executables, &self.merge(profiles)?, &[])?;
        Ok(paths::of_repository(report, &self.repository))
    }

    /// Writes llvm-cov's HTML pages about a BPF object into `directory`.
    ///
    /// # Errors
    /// When a tool fails.
    pub fn html(&self, object: &Path, profiles: &[PathBuf], directory: &Path) -> Result<(), ExportError> {
        let profile = self.merge(profiles)?;
        let mut equivalence = OsString::from("-path-equivalence=.,");
        equivalence.push(&self.repository);
        let mut command = Command::new(&self.tools.llvm_cov);
        command.args(["show", "-format=html"]).arg(equivalence).arg("-output-dir").arg(directory);
        command.arg("-instr-profile").arg(profile).arg(ignored_headers()).arg(object);
        // Relative paths are looked up from here.
        run(command.current_dir(&self.repository)).map(|_| ())
    }

    /// Merges profiles of one kind into a file.
    fn merge(&self, profiles: &[PathBuf]) -> Result<PathBuf, ExportError> {
        if profiles.is_empty() {
            return Err(ExportError::NoProfiles);
        }
        let merged = self.scratch.path().join("merged.profdata");
        // A list, because there may be more of them than fit on a command line.
        let list = self.scratch.path().join("profiles.txt");
        let lines = profiles.iter().map(|path| path.as_os_str()).collect::<Vec<_>>().join(OsStr::new("\n"));
        fs::write(&list, lines.as_encoded_bytes()).map_err(ExportError::file("write", &list))?;
        run(Command::new(&self.tools.llvm_profdata).args(["merge", "-f"]).arg(&list).arg("-o").arg(&merged))?;
        Ok(merged)
    }

    fn export(&self, objects: &[PathBuf], profile: &Path, args: &[&str]) -> Result<Report, ExportError> {
        let mut command = Command::new(&self.tools.llvm_cov);
        command.args(["export", "--format=lcov", "-instr-profile"]).arg(profile).args(args);
        for object in objects {
            command.arg("-object").arg(object);
        }
        let output = run(&mut command)?;
        let mut report = Report::from_reader(lcov::Reader::new(output.stdout.as_slice()))?;
        make_addable(&mut report);
        Ok(report)
    }
}

/// Makes counts such that those of thousands of cells can be added up, which lcov does without a check. A count may be the difference
/// of two counters, of which one has missed a step, and is then below zero: llvm-cov prints that as a number of 64 bits. It says no
/// more than 0 does.
fn make_addable(report: &mut Report) {
    const LARGEST: u64 = u64::MAX >> 24;
    for section in report.sections.values_mut() {
        for line in section.lines.values_mut() {
            line.count = if line.count > i64::MAX.cast_unsigned() { 0 } else { line.count.min(LARGEST) };
        }
    }
}

/// Demands that the profiles are whole, and of this object.
///
/// # Errors
/// When object or profiles are damaged, or do not fit together.
pub fn check(object: &Path, profiles: &[PathBuf]) -> Result<(), ExportError> {
    let raw = fs::read(object).map_err(ExportError::file("read", object))?;
    let failed = |source| ExportError::Elf { object: object.to_owned(), source };
    let mut known: Option<(Mode, Vec<Counted>)> = None;
    for path in profiles {
        let profile = Profile::read(path)?;
        let (mode, functions) = match &mut known {
            Some(known) => known,
            None => known.insert((profile.mode, crate::elf::inspect(&raw, profile.mode).map_err(failed)?)),
        };
        let mismatch = |what| ExportError::Mismatch { profile: path.clone(), object: object.to_owned(), what };
        profile.check(*mode, functions).map_err(mismatch)?;
    }
    Ok(())
}

/// Leaves out libbpf's headers. clang before 17 may name them by their place in the build directory.
fn ignored_headers() -> String {
    format!("-ignore-filename-regex=^{LIBBPF_HEADERS}/|/bpf-coverage/include/")
}

/// Runs a tool; a warning about mismatched data is a failure, because its counts are lost.
fn run(command: &mut Command) -> Result<Output, ExportError> {
    let tool = PathBuf::from(command.get_program());
    let output = command.output().map_err(ExportError::file("run", &tool))?;
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() && !message.contains("mismatched data") {
        return Ok(output);
    }
    Err(ExportError::Tool { tool, status: output.status.to_string(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a count below zero is none, and that the largest ones can be added up.
    #[test]
    fn any_counts_can_be_added() {
        let text = "SF:a.c\nDA:1,18446744073709551615\nDA:2,9223372036854775807\nDA:3,7\nend_of_record\n";
        let mut report = Report::from_reader(lcov::Reader::new(text.as_bytes())).unwrap();
        make_addable(&mut report);
        let mut sum = report.clone();
        (0..100_000).for_each(|_| sum.merge_lossy(report.clone()));
        let section = sum.sections.values().next().unwrap();
        let counts: Vec<u64> = section.lines.values().map(|line| line.count).collect();
        assert!(counts[0] == 0 && counts[1] > u64::MAX / 1000 && counts[2] == 7 * 100_001, "{counts:?}");
    }
}
