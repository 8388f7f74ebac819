//! Profiles and objects of a run become reports: [`Coverage`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bpf_coverage::export::lcov::Report;
use bpf_coverage::export::{self, ExportError, Exporter, Objects, ObjectsError, Tools};
use bpf_coverage::record::{Outcome, Record};
use thiserror::Error;

use super::lines::{LineTable, NoData};
use super::scan::{CellFiles, ScanError, scan};

/// The programs that read each half of the coverage. One release need not serve both: llvm-profdata reads only the raw
/// profiles of its own format, while text profiles and the objects of an older clang are read by every newer release.
#[derive(Clone, Debug)]
pub struct Readers {
    /// Of a release that is not older than any clang that compiled.
    pub bpf: Tools,
    /// Of the release of LLVM in rustc; or why there are none.
    pub userspace: Result<Tools, String>,
}

/// What a run's tests covered.
#[derive(Debug)]
pub struct Coverage {
    /// The BPF side, merged over all cells.
    pub ebpf: Report,
    /// User space, merged over the cells whose profiles could be read; `None` if there is no such cell.
    pub userspace: Option<Report>,
    /// Why user space is not known, each reason once with its cells.
    pub userspace_missing: BTreeMap<String, Vec<String>>,
    /// The BPF side, line by line.
    pub lines: LineTable,
    /// The cells whose tests left something.
    pub cells: usize,
    /// For each object's name, one that profiles are of, with those: for pages about it.
    pages: BTreeMap<String, (PathBuf, Vec<PathBuf>)>,
}

/// Why there is no coverage.
#[derive(Debug, Error)]
pub enum CoverageError {
    /// Nothing was collected.
    #[error("no coverage in `{}`\n  hint: `ukci run --coverage` collects it", .0.display())]
    Nothing(PathBuf),
    /// The run's directory cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The objects cannot be read, or are damaged.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// LLVM's tools failed.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A result cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Coverage {
    /// Reads the coverage of the run in the directory `run`. What a guest left that cannot be read is listed as missing.
    ///
    /// # Errors
    /// When there is none, its objects are damaged, or a tool fails on the BPF side.
    pub fn gather(run: &Path, repository: &Path, readers: Readers) -> Result<Self, CoverageError> {
        let cells = scan(run)?;
        if cells.is_empty() {
            return Err(CoverageError::Nothing(run.to_owned()));
        }
        let all = run.join("coverage/objects");
        let mut gathering = Gathering {
            objects: Objects::below(&all)?,
            exporter: Exporter::new(readers.bpf, repository)?,
            reports: Vec::new(),
            no_data: Vec::new(),
            pages: BTreeMap::new(),
        };
        let of_userspace = match readers.userspace {
            Ok(tools) => Ok(Exporter::new(tools, repository)?),
            Err(reason) => Err(reason),
        };
        let mut userspace: Option<Report> = None;
        let mut userspace_missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for files in &cells {
            gathering.bpf(files)?;
            if files.userspace.is_empty() {
                continue;
            }
            let objects = Objects::below(&all.join(bundle(&files.cell)))?;
            let report = of_userspace.as_ref().map_err(Clone::clone).and_then(|exporter| {
                exporter.userspace(objects.executables(), &files.userspace).map_err(|error| error.to_string())
            });
            match report {
                Ok(report) => userspace.get_or_insert_default().merge_lossy(report),
                Err(reason) => userspace_missing.entry(reason).or_default().push(files.cell.clone()),
            }
        }
        let mut ebpf = Report::new();
        for (_, report) in &gathering.reports {
            ebpf.merge_lossy(report.clone());
        }
        let lines = LineTable::new(&gathering.reports, gathering.no_data);
        let pages = gathering.pages;
        let coverage = Self { ebpf, userspace, userspace_missing, lines, cells: cells.len(), pages };
        coverage.write_pages(&gathering.exporter, &run.join("coverage/html"))?;
        Ok(coverage)
    }

    /// Writes `ebpf.lcov`, `lines.json` and, unless user space is not known, `userspace.lcov` into `directory`.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn write(&self, directory: &Path) -> Result<(), CoverageError> {
        fs::create_dir_all(directory).map_err(failed(directory))?;
        write_lcov(&self.ebpf, &directory.join("ebpf.lcov"))?;
        let path = directory.join("userspace.lcov");
        match (&self.userspace, fs::remove_file(&path)) {
            (Some(report), _) => write_lcov(report, &path)?,
            // One that an earlier call has left would be taken for this one's.
            (None, Err(source)) if source.kind() != io::ErrorKind::NotFound => return Err(failed(&path)(source)),
            (None, _) => {}
        }
        let path = directory.join("lines.json");
        let json = serde_json::to_vec(&self.lines).map_err(io::Error::from).map_err(failed(&path))?;
        fs::write(&path, json).map_err(failed(&path))
    }

    /// Pages of each object below `directory`, in a directory of its name.
    fn write_pages(&self, exporter: &Exporter, directory: &Path) -> Result<(), CoverageError> {
        for (name, (object, profiles)) in &self.pages {
            exporter.html(object, profiles, &directory.join(name))?;
        }
        Ok(())
    }
}

/// `arch/llvmN` of a cell.
fn bundle(cell: &str) -> String {
    let parts: Vec<&str> = cell.split('/').collect();
    [parts.first(), parts.last()].map(|part| part.copied().unwrap_or_default()).join("/")
}

struct Gathering {
    objects: Objects,
    exporter: Exporter,
    reports: Vec<(String, Report)>,
    no_data: Vec<NoData>,
    pages: BTreeMap<String, (PathBuf, Vec<PathBuf>)>,
}

impl Gathering {
    fn bpf(&mut self, files: &CellFiles) -> Result<(), CoverageError> {
        // Profiles of one object are merged by LLVM; reports of several objects, which other compilers or other flags may
        // have made, are merged line by line.
        let mut by_object: BTreeMap<(PathBuf, String), Vec<PathBuf>> = BTreeMap::new();
        for (test, path) in &files.records {
            match self.profile(path) {
                Ok((object, name, profile)) => by_object.entry((object, name)).or_default().push(profile),
                Err(Missing { object, reason, mode }) => {
                    let (cell, test) = (files.cell.clone(), test.clone());
                    self.no_data.push(NoData { cell, test, object, reason, mode });
                }
            }
        }
        let mut cell = Report::new();
        for ((object, name), profiles) in by_object {
            cell.merge_lossy(self.exporter.bpf(&object, &profiles)?);
            let page = self.pages.entry(name).or_insert_with(|| (object.clone(), Vec::new()));
            if page.0 == object {
                page.1.extend(profiles);
            }
        }
        self.reports.push((files.cell.clone(), cell));
        Ok(())
    }

    /// The object and the profile of a record, or why there is nothing to be learned from it.
    fn profile(&self, path: &Path) -> Result<(PathBuf, String, PathBuf), Missing> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let damaged = |reason: String| Missing { object: stem.clone(), reason, mode: "damaged".into() };
        let text = fs::read(path).map_err(|error| damaged(format!("the record cannot be read: {error}")))?;
        let record: Record =
            serde_json::from_slice(&text).map_err(|error| damaged(format!("the record is damaged: {error}")))?;
        let mode = match record.mode {
            Outcome::Counters | Outcome::SingleByte => None,
            Outcome::RunCounts => Some("run_counts"),
            Outcome::None => Some("none"),
        };
        if let Some(mode) = mode {
            let reason = record.reason.unwrap_or_else(|| "no reason was recorded".into());
            return Err(Missing { object: record.object, reason, mode: mode.into() });
        }
        let missing = |reason: String| Missing { object: record.object.clone(), reason, mode: "damaged".into() };
        let hash = record.object_hash.as_deref().unwrap_or_default();
        let object = self.objects.bpf(hash);
        let object = object.ok_or_else(|| missing(format!("no object with the hash `{hash}` in coverage/objects")))?;
        let profile = path.with_extension("proftext");
        export::check(object, std::slice::from_ref(&profile)).map_err(|error| missing(error.to_string()))?;
        Ok((object.to_owned(), record.object.clone(), profile))
    }
}

struct Missing {
    object: String,
    reason: String,
    mode: String,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> CoverageError {
    move |source| CoverageError::Write { path: path.to_owned(), source }
}

fn write_lcov(report: &Report, path: &Path) -> Result<(), CoverageError> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        for record in report.clone().into_records() {
            writeln!(file, "{record}")?;
        }
        file.flush()
    };
    write().map_err(failed(path))
}
