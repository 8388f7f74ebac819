//! What is told of programs, as JSON: a [`Report`] of one object on one kernel has a [`Record`] for each program and case.
//!
//! What is not known is `null`, never 0. A program that could not be tried has a record too, which says why: one that is
//! missing was never thought of.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::read::{self, ReadError};

/// The version of the layout.
pub const SCHEMA: u32 = 1;

/// What a file with a report is called.
pub const FILE_NAME: &str = "complexity.json";

/// The most instructions that the verifier processes for one program: `BPF_COMPLEXITY_LIMIT_INSNS`, since 5.2.
pub const INSNS_LIMIT: u64 = 1_000_000;
/// The most stack that a chain of calls may use, in bytes: `MAX_BPF_STACK`.
pub const STACK_LIMIT_BYTES: u32 = 512;
/// The most maps that one program may use: `MAX_USED_MAPS`.
pub const MAP_LIMIT: u32 = 64;

/// One object's programs on one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The kernel that was asked.
    pub kernel: Kernel,
    /// What was loaded.
    pub object: Object,
    /// Each program in each case.
    pub records: Vec<Record>,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// What `uname -r` prints.
    pub release: String,
    /// The architecture, as Rust calls it.
    pub arch: String,
    /// The SHA-256 of its configuration, where that can be read.
    #[serde(default)]
    pub config_sha: Option<String>,
}

/// An object file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name: of a file, without directory and `.bpf.o`.
    pub name: String,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    /// The version of the clang that compiled it, when it says so.
    #[serde(default)]
    pub clang: Option<String>,
    /// The instruction set, for example `v3`, when it says so.
    #[serde(default)]
    pub mcpu: Option<String>,
    /// Whether it was compiled to be run, or to be counted.
    pub mode: Mode,
}

/// What an object was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// To be run.
    Release,
    /// To be measured for coverage: it costs the verifier more, or less, and no budget holds for it.
    Coverage,
}

/// What became of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The kernel took it.
    Ok,
    /// The kernel was never asked, or not by one who may ask; the reason says why.
    Skipped,
    /// The kernel refused it.
    Rejected,
}

impl Verdict {
    /// Its name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One program in one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The case: a way to configure and load the object. `default` is the object as it is.
    pub case: String,
    /// The program's function.
    pub program: String,
    /// Its type, as libbpf calls it: `tracing`, `kprobe`.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// What it attaches to, as libbpf calls it: `trace_fentry`.
    #[serde(default)]
    pub attach: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
    /// Why it was not taken, in one line.
    #[serde(default)]
    pub reason: Option<String>,
    /// The number of the error with which it was not taken.
    #[serde(default)]
    pub errno: Option<i32>,
    /// Instructions as they were compiled, with the subprograms that it calls.
    #[serde(default)]
    pub insns: Option<u64>,
    /// Instructions as the verifier left them.
    #[serde(default)]
    pub xlated: Option<u64>,
    /// Bytes of machine code; `None` where the kernel interprets.
    #[serde(default)]
    pub jited_bytes: Option<u64>,
    /// Instructions that the verifier processed, each as often as it came by.
    #[serde(default)]
    pub insns_processed: Option<u64>,
    /// The most that it would have processed.
    #[serde(default)]
    pub insns_limit: Option<u64>,
    /// What the loaded program says that was processed (since 5.16).
    #[serde(default)]
    pub verified_insns: Option<u64>,
    /// States that the verifier kept.
    #[serde(default)]
    pub total_states: Option<u64>,
    /// The most of them at one time.
    #[serde(default)]
    pub peak_states: Option<u64>,
    /// The most states at one instruction.
    #[serde(default)]
    pub max_states_per_insn: Option<u64>,
    /// The longest way back along which registers were marked as read; since 6.18 the kernel always says 0.
    #[serde(default)]
    pub mark_read: Option<u64>,
    /// Bytes of stack of the deepest chain of calls: what the kernel says (since 7.2), else what its numbers for the
    /// subprograms and the calls in the program amount to.
    #[serde(default)]
    pub stack_max: Option<u32>,
    /// Bytes of stack of each subprogram, the program itself first.
    #[serde(default)]
    pub stack_depths: Option<Vec<u32>>,
    /// Each subprogram (since 7.3).
    #[serde(default)]
    pub subprogs: Option<Vec<Subprog>>,
    /// Maps that it uses.
    #[serde(default)]
    pub map_count: Option<u32>,
    /// How long the verifier took, in microseconds. Under emulation it is worth little, and no budget looks at it.
    #[serde(default)]
    pub verification_us: Option<u64>,
    /// What to know about the numbers above.
    #[serde(default)]
    pub warning: Option<String>,
    /// The end of the verifier's log, for a program that was refused.
    #[serde(default)]
    pub log_tail: Option<String>,
}

/// A subprogram, as the verifier saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subprog {
    /// Its function, where the kernel knows it.
    pub name: Option<String>,
    /// `main`, `static` or `global`.
    pub kind: String,
    /// Instructions processed in it.
    pub insns_self: u64,
    /// The same with those that it calls.
    pub insns_total: u64,
    /// Its bytes of stack.
    pub stack: Option<u32>,
}

impl Record {
    /// A record that says no more than what became of the program.
    #[must_use]
    pub fn bare(case: &str, program: &str, verdict: Verdict) -> Self {
        Self {
            case: case.to_owned(),
            program: program.to_owned(),
            verdict,
            kind: None,
            attach: None,
            reason: None,
            errno: None,
            insns: None,
            xlated: None,
            jited_bytes: None,
            insns_processed: None,
            insns_limit: None,
            verified_insns: None,
            total_states: None,
            peak_states: None,
            max_states_per_insn: None,
            mark_read: None,
            stack_max: None,
            stack_depths: None,
            subprogs: None,
            map_count: None,
            verification_us: None,
            warning: None,
            log_tail: None,
        }
    }

    /// Instructions that were processed, by the log or by the loaded program, whichever says so.
    #[must_use]
    pub fn processed(&self) -> Option<u64> {
        self.insns_processed.or(self.verified_insns)
    }

    /// `case/program`, or the program alone when the object was loaded as it is.
    #[must_use]
    pub fn name(&self) -> String {
        match self.case.as_str() {
            DEFAULT_CASE => self.program.clone(),
            case => format!("{case}/{}", self.program),
        }
    }
}

/// The case of an object that is loaded as it is.
pub const DEFAULT_CASE: &str = "default";

impl Report {
    /// Reads a report. Keys that this release does not know are skipped.
    ///
    /// # Errors
    /// When the text is none; the error says where and what was expected.
    pub fn parse(text: &str) -> Result<Self, ReadError> {
        read::versioned(text, SCHEMA)
    }

    /// The report in one line, with a line feed behind it.
    ///
    /// # Errors
    /// Never, as far as serde goes: every key is a text, and every number finite.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }

    /// The programs that the kernel refused, each with its reason.
    #[must_use]
    pub fn rejected(&self) -> Vec<String> {
        let rejected = self.records.iter().filter(|record| record.verdict == Verdict::Rejected);
        rejected
            .map(|record| format!("{}: {}", record.name(), record.reason.as_deref().unwrap_or("no reason")))
            .collect()
    }

    /// Writes the report as [`FILE_NAME`] into the directory that the environment variable `UKCI_ARTIFACTS` names; without
    /// one, nobody asks for it.
    ///
    /// # Errors
    /// When it cannot be written; the text names the file.
    pub fn leave(&self) -> Result<(), String> {
        match std::env::var_os("UKCI_ARTIFACTS") {
            Some(directory) => self.write(Path::new(&directory)),
            None => Ok(()),
        }
    }

    /// Writes the report as [`FILE_NAME`] into `directory`.
    ///
    /// # Errors
    /// When it cannot be written; the text names the file.
    pub fn write(&self, directory: &Path) -> Result<(), String> {
        let path = directory.join(FILE_NAME);
        let failed = |error: &dyn fmt::Display| format!("cannot write `{}`: {error}", path.display());
        let text = self.to_line().map_err(|error| failed(&error))?;
        std::fs::write(&path, text).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            schema: SCHEMA,
            kernel: Kernel { release: "6.12.1".into(), arch: "x86_64".into(), config_sha: None },
            object: Object {
                name: "demo".into(),
                sha256: "00".into(),
                clang: Some("22.1.8".into()),
                mcpu: None,
                mode: Mode::Release,
            },
            records: vec![
                Record { insns_processed: Some(7), ..Record::bare("default", "a", Verdict::Ok) },
                Record { reason: Some("no".into()), ..Record::bare("fentry", "b", Verdict::Rejected) },
            ],
        }
    }

    /// Check that what is written can be read, and that what is unknown is null and not 0.
    #[test]
    fn a_report_survives_its_file() {
        let directory = tempfile::tempdir().unwrap();
        report().write(directory.path()).unwrap();
        let text = std::fs::read_to_string(directory.path().join("complexity.json")).unwrap();
        assert_eq!(Report::parse(&text).unwrap(), report());
        assert!(text.contains("\"stack_max\":null") && text.contains("\"verdict\":\"rejected\""), "{text}");
        assert_eq!(report().rejected(), ["fentry/b: no"]);
        assert_eq!(report().records[0].name(), "a");
    }

    /// Check that each thing that is no report is told apart, by what was expected and found.
    #[test]
    fn what_is_no_report_says_why() {
        let error = |text: &str| Report::parse(text).unwrap_err().to_string();
        assert!(error("{\"schema\": 2, \"records\": []}").contains("expected schema `1`, found `2`"));
        assert!(error("{\"insns\": 1}").contains("missing field `schema`"));
        assert!(error("{\"schema\": 1, \"kernel\"").contains("EOF while parsing"));
        let text = serde_json::to_string(&report()).unwrap().replace("\"ok\"", "\"fine\"");
        assert!(error(&text).contains("unknown variant `fine`"), "{}", error(&text));
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = report().write(Path::new("/nonexistent")).unwrap_err();
        assert!(error.contains("`/nonexistent/complexity.json`"), "{error}");
    }
}
