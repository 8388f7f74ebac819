//! Measuring: [`measure`] loads the program of each case with the verifier's statistics, and one that is refused once more with
//! the whole log.
//!
//! To open an object and to relocate it for the kernel's types takes longer than most programs take the verifier, so the programs
//! of one configuration are loaded together, which costs each of them the same. Where the kernel refuses one it has
//! nothing to say of the others: each half is then loaded for itself.

use libbpf_rs::OpenObject;
use sha2::Digest;

use crate::case::{Case, CaseError};
use crate::elf;
use crate::load::{self, Info, LOG_INSTRUCTIONS, LOG_STATISTICS, Loaded};
use crate::parse::{self, Stats};
use crate::record::{Kernel, Mode, Object, Record, Report, SCHEMA, Verdict};
use crate::stack;

/// Statistics are a few lines; 7.3 has one more for each subprogram.
const STATISTICS_BYTES: usize = 64 << 10;
/// A whole log has a line or two for each instruction processed. Kernels before 6.4 stop at the buffer's end, so a log that is
/// longer ends there before the reason; larger buffers cost a guest with 256 MiB too much.
const WHOLE_LOG_BYTES: usize = (16 << 20) - 1;
/// What is kept of a log; the explanation that 7.3 gives of a refusal takes some 2 KiB.
const TAIL_BYTES: usize = 8 << 10;

/// Bytes of one instruction.
const INSN_BYTES: u32 = 8;

const EPERM: i32 = 1;

/// Measures every case on this kernel. `name` and `bytes` are the object's, which the report identifies.
#[must_use]
pub fn measure(name: &str, bytes: &[u8], cases: &[Case<'_>]) -> Report {
    measure_with(name, bytes, cases, |_record, _log| {})
}

/// The same, and shows each record with the verifier's log as soon as it is there.
#[must_use]
pub fn measure_with(name: &str, bytes: &[u8], cases: &[Case<'_>], mut show: impl FnMut(&Record, &str)) -> Report {
    let mut records = Vec::new();
    for configuration in cases.chunk_by(|one, other| one.name == other.name) {
        several(configuration, &mut |record, log| {
            show(&record, log);
            records.push(record);
        });
    }
    Report { schema: SCHEMA, kernel: kernel(), object: object(name, bytes), records }
}

/// What the object says of itself. An object that libbpf takes and we do not know is no reason to lose its numbers.
fn object(name: &str, bytes: &[u8]) -> Object {
    elf::inspect(name, bytes).unwrap_or_else(|_unknown| Object {
        name: name.to_owned(),
        sha256: hex(bytes),
        clang: None,
        mcpu: None,
        mode: Mode::Release,
    })
}

fn hex(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kernel() -> Kernel {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let config = std::fs::read(format!("/boot/config-{release}")).ok();
    Kernel { release, arch: std::env::consts::ARCH.to_owned(), config_sha: config.map(|config| hex(&config)) }
}

/// Tells the record and the verifier's log of each of `cases`, which are of one configuration, in their order.
fn several(cases: &[Case<'_>], tell: &mut dyn FnMut(Record, &str)) {
    if let [case] = cases {
        let (record, log) = one(case);
        return tell(record, &log);
    }
    let together = match load(cases, LOG_STATISTICS, STATISTICS_BYTES) {
        Ok(loaded) => loaded,
        Err(error) => {
            let why = one_line(error.to_string());
            return cases.iter().for_each(|case| tell(bare(case, Verdict::Skipped, why.clone()), ""));
        }
    };
    let taken_all: Option<Vec<Loaded>> =
        together.into_iter().map(|loaded| loaded.filter(|loaded| loaded.errno.is_none())).collect();
    match taken_all {
        Some(loaded) => cases.iter().zip(&loaded).for_each(|(case, loaded)| tell(taken(case, loaded), &loaded.log)),
        None => {
            let (first, second) = cases.split_at(cases.len() / 2);
            several(first, tell);
            several(second, tell);
        }
    }
}

fn bare(case: &Case<'_>, verdict: Verdict, reason: String) -> Record {
    Record { reason: Some(reason), ..Record::bare(&case.name, &case.program, verdict) }
}

/// The record of one case, and the verifier's log.
fn one(case: &Case<'_>) -> (Record, String) {
    let loaded = match load_one(case, LOG_STATISTICS, STATISTICS_BYTES) {
        Ok(loaded) => loaded,
        Err(error) => return (bare(case, Verdict::Skipped, one_line(error.to_string())), String::new()),
    };
    let Some(errno) = loaded.errno else {
        return (taken(case, &loaded), loaded.log);
    };
    let record = Record {
        kind: loaded.kind.clone(),
        attach: loaded.attach.clone(),
        errno: Some(errno),
        insns: Some(loaded.insns.len() as u64),
        ..bare(case, Verdict::Skipped, why_not_tried(errno, &loaded))
    };
    if !was_refused(errno, &loaded) {
        return (record, loaded.log);
    }
    // The statistics of a refused program are few, and the reason is not among them.
    let whole = load_one(case, LOG_STATISTICS | LOG_INSTRUCTIONS, WHOLE_LOG_BYTES).unwrap_or(loaded);
    let reason = parse::reason(&whole.log).unwrap_or_else(|| {
        format!("refused before it was verified, with error {errno}: the kernel may not know this type of program")
    });
    let tail = parse::tail(&whole.log, TAIL_BYTES);
    let log_tail = (!tail.is_empty()).then_some(tail);
    let record = Record { verdict: Verdict::Rejected, reason: Some(one_line(&reason)), log_tail, ..record };
    (with_stats(record, &Stats::of(&whole.log)), whole.log)
}

/// Loads the programs of `cases`, which are of one configuration, together; `None` for one that the object does not have. An error
/// means that there was nothing to load.
fn load(cases: &[Case<'_>], log_level: u32, log_bytes: usize) -> Result<Vec<Option<Loaded>>, CaseError> {
    let Some(first) = cases.first() else { return Ok(Vec::new()) };
    let programs: Vec<&str> = cases.iter().map(|case| case.program.as_str()).collect();
    let mut loaded = None;
    let mut work = |object: &mut OpenObject| loaded = Some(load::together(object, &programs, log_level, log_bytes));
    (first.configure)(&mut work)?;
    loaded.ok_or_else(|| "the case shows no object".into())
}

/// Loads the case's program alone.
fn load_one(case: &Case<'_>, log_level: u32, log_bytes: usize) -> Result<Loaded, CaseError> {
    let loaded = load(std::slice::from_ref(case), log_level, log_bytes)?.pop().flatten();
    loaded.ok_or_else(|| format!("the object has no program `{}`", case.program).into())
}

/// Whether it is the kernel that refused the program, and not us whom it refused: then the verifier spoke, or at least the
/// system call was made by one who may make it.
fn was_refused(errno: i32, loaded: &Loaded) -> bool {
    !loaded.log.is_empty() || (loaded.said.contains("BPF program load failed") && errno != EPERM)
}

/// Why the kernel was not asked: libbpf's first complaint, which is the cause of the others.
fn why_not_tried(errno: i32, loaded: &Loaded) -> String {
    if errno == EPERM {
        return "not permitted: neither root's privileges (CAP_BPF, CAP_PERFMON) nor a kernel that is not locked down"
            .into();
    }
    let said =
        loaded.said.lines().map(|line| line.strip_prefix("libbpf: ").unwrap_or(line)).find(|line| !line.is_empty());
    said.map_or_else(|| format!("libbpf gave up with error {errno}"), one_line)
}

fn one_line(text: impl AsRef<str>) -> String {
    text.as_ref().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The record of a program that was taken.
fn taken(case: &Case<'_>, loaded: &Loaded) -> Record {
    let stats = Stats::of(&loaded.log);
    let info = loaded.info;
    let verified_insns = info.and_then(|info: Info| info.verified_insns).filter(|insns| *insns > 0).map(u64::from);
    let warning = (!stats.is_understood()).then(|| {
        let begin: String = loaded.log.chars().take(200).collect();
        let source = if verified_insns.is_some() { "what the loaded program says" } else { "nothing" };
        format!(
            "the verifier's statistics are in words that are not known; {source} stands in for them: `{}`",
            one_line(begin)
        )
    });
    let record = Record {
        kind: loaded.kind.clone(),
        attach: loaded.attach.clone(),
        insns: Some(loaded.insns.len() as u64),
        xlated: info.map(|info| u64::from(info.xlated_bytes / INSN_BYTES)),
        jited_bytes: info.map(|info| u64::from(info.jited_bytes)).filter(|bytes| *bytes > 0),
        verified_insns,
        map_count: info.map(|info| info.maps),
        warning,
        ..Record::bare(&case.name, &case.program, Verdict::Ok)
    };
    let record = with_stats(record, &stats);
    let stack_max = record.stack_max.or_else(|| stack::deepest(&loaded.insns, record.stack_depths.as_deref()?));
    Record { stack_max, ..record }
}

fn with_stats(record: Record, stats: &Stats) -> Record {
    Record {
        // 0 is what is said of a program that was refused before it was verified.
        insns_processed: stats.insns_processed.filter(|insns| *insns > 0),
        insns_limit: stats.insns_limit,
        total_states: stats.total_states,
        peak_states: stats.peak_states,
        max_states_per_insn: stats.max_states_per_insn,
        mark_read: stats.mark_read,
        stack_max: stats.stack_max,
        stack_depths: stats.stack_depths.clone(),
        subprogs: stats.subprogs.clone(),
        verification_us: stats.verification_us,
        ..record
    }
}
