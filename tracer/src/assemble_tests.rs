//! Tests of the assembler on bytes, as a ring buffer would bring them.

use std::ffi::OsStr;

use rstest::rstest;

use super::*;

fn bytes_of<T: Record>(record: &T) -> Vec<u8> {
    // SAFETY: a `Record` is integers without padding.
    unsafe { std::slice::from_raw_parts((record as *const T).cast::<u8>(), size_of::<T>()) }.to_vec()
}

fn key(tgid: u32, kind: rec_kind) -> rec_key {
    rec_key { time_ns: 1_000 + u64::from(tgid), tgid, kind: kind.0 }
}

fn head(tgid: u32, argv_len: u64) -> Vec<u8> {
    let mut comm = [0; 16];
    comm[..2].copy_from_slice(b"sh");
    let key = key(tgid, rec_kind::REC_HEAD);
    bytes_of(&rec_head { key, argv_len, pid: tgid, argc: 2, comm, ..Default::default() })
}

fn data(tgid: u32, kind: rec_kind, offset: u32, payload: &[u8]) -> Vec<u8> {
    let mut record = bytes_of(&rec_data { key: key(tgid, kind), offset, len: payload.len() as u32 });
    record.extend_from_slice(payload);
    record.extend_from_slice(&[0xaa; 8]); // the undefined rest of the payload
    record
}

fn end(tgid: u32, filename_len: u32, argv_sent: u32, flags: u32) -> Vec<u8> {
    bytes_of(&rec_end { key: key(tgid, rec_kind::REC_END), filename_len, argv_sent, flags, reserved: 0 })
}

fn exec(tgid: u32, argv: &[u8]) -> Vec<Vec<u8>> {
    vec![
        head(tgid, argv.len() as u64),
        data(tgid, rec_kind::REC_FILENAME, 0, b"/bin/sh"),
        data(tgid, rec_kind::REC_ARGV, 0, argv),
        end(tgid, 7, argv.len() as u32, 0),
    ]
}

fn assembled(records: impl IntoIterator<Item = Vec<u8>>) -> (Vec<ExecEvent>, u64) {
    let mut assembler = Assembler::default();
    records.into_iter().for_each(|record| assembler.push(&record));
    let events = std::iter::from_fn(|| assembler.pop()).collect();
    (events, assembler.malformed())
}

/// Check that argv is what stands between the NULs, with empty arguments where there are some.
#[rstest]
#[case::usual(b"sh\0-c\0", &["sh", "-c"])]
#[case::no_arguments(b"", &[])]
#[case::one_empty(b"\0", &[""])]
#[case::empty_at_the_end(b"a\0\0", &["a", ""])]
#[case::only_empty_ones(b"\0\0\0", &["", "", ""])]
fn argv_is_split_at_its_nuls(#[case] region: &[u8], #[case] expected: &[&str]) {
    let (events, malformed) = assembled(exec(1, region));
    assert_eq!(malformed, 0);
    assert_eq!(events[0].argv, expected);
    assert_eq!(events[0].filename.as_deref(), Some(OsStr::new("/bin/sh")));
    assert_eq!(events[0].comm, "sh");
    assert_eq!(events[0].argv_cut, None);
}

/// Check that records of two CPUs may be mixed.
#[test]
fn interleaved_execs_are_told_apart() {
    let (one, two) = (exec(1, b"one\0"), exec(2, b"two\0"));
    let mixed = one.into_iter().zip(two).flat_map(|(one, two)| [one, two]);
    let (events, malformed) = assembled(mixed);
    assert_eq!(malformed, 0);
    assert_eq!(events.iter().map(|event| event.argv[0].to_str().unwrap()).collect::<Vec<_>>(), ["one", "two"]);
}

/// Check that argv in pieces comes together, and that a gap between them is not papered over.
#[test]
fn pieces_of_argv_are_joined_only_without_a_gap() {
    let pieces = |second: u32| {
        let argv = |offset, bytes| data(1, rec_kind::REC_ARGV, offset, bytes);
        let name = data(1, rec_kind::REC_FILENAME, 0, b"x");
        [head(1, 6), name, argv(0, b"ab"), argv(second, b"cd\0\0"), end(1, 1, 6, 0)]
    };
    let (events, malformed) = assembled(pieces(2));
    assert_eq!((events.len(), malformed), (1, 0));
    assert_eq!(events[0].argv, ["abcd", ""]);
    let (events, malformed) = assembled(pieces(3));
    assert!(events.is_empty());
    assert!(malformed > 0);
}

/// Check that an exec without its end never comes out, not even when the next exec of that process does.
#[rstest]
#[case::head(0)]
#[case::filename(1)]
#[case::argv(2)]
#[case::end(3)]
fn an_exec_that_lacks_a_record_is_not_reported(#[case] lacking: usize) {
    let mut records = exec(1, b"lacking\0");
    records.remove(lacking);
    records.extend(exec(1, b"next\0"));
    let (events, _) = assembled(records);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].argv, ["next"]);
}

/// Check that a cut argv says so, with its true length and its partial last argument.
#[rstest]
#[case::capped(end_flags::ARGV_CAPPED.0, ArgvCut::TooLong)]
#[case::not_resident(end_flags::ARGV_FAULT.0, ArgvCut::NotResident)]
#[case::both(end_flags::ARGV_CAPPED.0 | end_flags::ARGV_FAULT.0, ArgvCut::NotResident)]
fn a_cut_argv_is_marked(#[case] flags: u32, #[case] expected: ArgvCut) {
    let name = data(1, rec_kind::REC_FILENAME, 0, b"x");
    let argv = data(1, rec_kind::REC_ARGV, 0, b"a\0par");
    let (events, malformed) = assembled([head(1, 1 << 20), name, argv, end(1, 1, 5, flags)]);
    assert_eq!(malformed, 0);
    assert_eq!(events[0].argv, ["a", "par"]);
    assert_eq!((events[0].argv_cut, events[0].argv_len), (Some(expected), 1 << 20));
}

/// Check that an argv which is shorter than the kernel said, and not marked as cut, is not passed off as whole.
#[test]
fn a_short_argv_without_a_mark_is_refused() {
    let mut records = exec(1, b"abc\0");
    records[0] = head(1, 100);
    assert_eq!(assembled(records), (vec![], 1));
}

/// Check that a filename which could not be read is absent, not empty.
#[test]
fn an_unreadable_filename_is_absent() {
    let name = data(1, rec_kind::REC_FILENAME, 0, b"");
    let (events, _) = assembled([head(1, 0), name, end(1, 0, 0, end_flags::FILENAME_FAULT.0)]);
    assert_eq!(events[0].filename, None);
}

/// Check that garbage is counted and does no harm: every prefix of every record, unknown kinds, and lengths that lie.
#[test]
fn garbage_is_counted_and_survived() {
    for record in exec(1, b"x\0") {
        for len in 0..record.len().min(24) {
            let (events, malformed) = assembled([record[..len].to_vec()]);
            assert_eq!((events.len(), malformed), (0, 1), "prefix of {len} bytes");
        }
    }
    let mut lying = data(1, rec_kind::REC_ARGV, 0, b"x");
    lying[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    let unknown = bytes_of(&rec_key { time_ns: 0, tgid: 1, kind: 77 });
    assert_eq!(assembled([head(1, 1), lying, unknown, vec![0xff; 100]]), (vec![], 3));
}

/// Check that execs whose end never comes do not pile up.
#[test]
fn begun_execs_are_bounded() {
    let mut assembler = Assembler::default();
    (1..5_000).for_each(|tgid| assembler.push(&head(tgid, 0)));
    assert!(assembler.pending.len() <= MAX_PENDING);
    exec(9_999, b"new\0").iter().for_each(|record| assembler.push(record));
    assert_eq!(assembler.pop().map(|event| event.tgid), Some(9_999));
}
