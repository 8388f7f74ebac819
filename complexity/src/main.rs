//! The binary `bpf-complexity`: loads each program of each object file, and prints one JSON [`bpf_complexity::Report`] per
//! file and line.
//!
//! It goes into guests, so it is small and asks for nothing but a kernel.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bpf_complexity::measure::measure_with;
use bpf_complexity::{Case, elf};

const USAGE: &str = "\
usage: bpf-complexity [--logs DIR] FILE.bpf.o...

Loads each program of each file, attaches none, and prints what the kernel's verifier said of it: one line of JSON
per file. Needs root.

  --logs DIR   write the verifier's logs there, as OBJECT-PROGRAM.log

Exit status: 0 when every file was measured, whatever the verdicts; 1 when one is no BPF object; 2 for wrong usage.
";

fn main() -> ExitCode {
    let (mut files, mut logs) = (Vec::new(), None);
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return say(USAGE, ExitCode::SUCCESS),
            Some("--logs") => match arguments.next() {
                Some(directory) => logs = Some(PathBuf::from(directory)),
                None => return complain("--logs: no directory", ExitCode::from(2)),
            },
            Some(option) if option.starts_with('-') => {
                return complain(&format!("unknown option `{option}`\n\n{USAGE}"), ExitCode::from(2));
            }
            _ => files.push(PathBuf::from(argument)),
        }
    }
    if files.is_empty() {
        return complain(&format!("no file\n\n{USAGE}"), ExitCode::from(2));
    }
    let mut code = ExitCode::SUCCESS;
    for file in &files {
        code = match measure(file, logs.as_deref()) {
            Ok(line) => say(&line, code),
            Err(error) => complain(&format!("{}: {error}", file.display()), ExitCode::FAILURE),
        };
    }
    code
}

/// The report of one file, as a line.
fn measure(file: &Path, logs: Option<&Path>) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let bytes = std::fs::read(file)?;
    let name = elf::name_of(file);
    elf::inspect(&name, &bytes)?;
    let cases = Case::plain(&bytes).map_err(|error| format!("libbpf does not open it: {error}"))?;
    let mut unwritten = None;
    let report = measure_with(&name, &bytes, &cases, |record, log| {
        let Some(directory) = logs else { return };
        let path = directory.join(format!("{name}-{}.log", record.program));
        if let Err(error) = std::fs::write(&path, log) {
            unwritten = Some(format!("cannot write `{}`: {error}", path.display()));
        }
    });
    match unwritten {
        Some(error) => Err(error.into()),
        None => Ok(report.to_line()?),
    }
}

fn say(text: &str, code: ExitCode) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(error) => complain(&format!("cannot write to standard output: {error}"), ExitCode::FAILURE),
    }
}

fn complain(text: &str, code: ExitCode) -> ExitCode {
    // When standard error is gone, the status has to do.
    drop(writeln!(std::io::stderr(), "bpf-complexity: {text}"));
    code
}
