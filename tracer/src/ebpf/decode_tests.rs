//! Tests of the decoder on bytes, as a ring buffer would bring them.

use super::*;
use crate::event::{Absent, Cut};
use crate::skeleton::types::{wire_field, wire_script, wire_status};

/// The bytes of a record, made of integers without padding.
fn bytes_of<T: Copy>(record: &T) -> Vec<u8> {
    // SAFETY: the record types are integers without padding.
    unsafe { std::slice::from_raw_parts((record as *const T).cast::<u8>(), size_of::<T>()) }.to_vec()
}

fn key(exec: u64, kind: rec_kind, field: wire_field) -> rec_key {
    rec_key { exec, kind: kind.0 as u16, field: field.0 as u16, index: 0 }
}

fn begin(exec: u64) -> Vec<u8> {
    let mut comm = [0; 16];
    comm[..2].copy_from_slice(b"sh");
    bytes_of(&rec_begin {
        key: key(exec, rec_kind::REC_BEGIN, wire_field::FIELD_NONE),
        pid: 7,
        tgid: 7,
        comm,
        ..Default::default()
    })
}

fn data(exec: u64, field: wire_field, offset: u32, payload: &[u8]) -> Vec<u8> {
    let key = key(exec, rec_kind::REC_DATA, field);
    let mut record = bytes_of(&rec_data { key, offset, len: payload.len() as u32 });
    record.extend_from_slice(payload);
    record.extend_from_slice(&[0xaa; 8]); // the undefined rest of the payload
    record
}

fn close(exec: u64, field: wire_field, status: wire_status, len: u32) -> Vec<u8> {
    bytes_of(&rec_close { key: key(exec, rec_kind::REC_CLOSE, field), status: status.0, len })
}

fn end(exec: u64, error: u32) -> Vec<u8> {
    let key = key(exec, rec_kind::REC_END, wire_field::FIELD_NONE);
    bytes_of(&rec_end { key, time_ns: 5, error, is_script: wire_script::SCRIPT_NO.0 })
}

/// An exec with an argv in two pieces.
fn exec_of(exec: u64, first: &[u8], second: &[u8]) -> Vec<Vec<u8>> {
    let argv = wire_field::FIELD_ARGV;
    let (middle, len) = (first.len() as u32, (first.len() + second.len()) as u32);
    let whole = close(exec, argv, wire_status::PART_WHOLE, len);
    vec![begin(exec), data(exec, argv, 0, first), data(exec, argv, middle, second), whole, end(exec, 0)]
}

fn decoded(records: impl IntoIterator<Item = Vec<u8>>) -> (Vec<What>, u64) {
    let mut decoder = Decoder::new(Collect::default());
    let what = records.into_iter().filter_map(|record| decoder.push(&record)).map(|observed| observed.what).collect();
    (what, decoder.malformed())
}

fn argv_of(what: &What) -> crate::event::Field<crate::event::List<Vec<u8>>> {
    match what {
        What::Exec(exec) => exec.argv.clone(),
        other => panic!("not an exec: {other:?}"),
    }
}

/// Check that records of two execs may be mixed, and that argv is what stands between the NULs.
#[test]
fn mixed_execs_are_told_apart() {
    let (one, two) = (exec_of(1, b"a\0b", b"c\0\0"), exec_of(2, b"", b"two\0"));
    let mixed = one.into_iter().zip(two).flat_map(|(one, two)| [one, two]);
    let (what, malformed) = decoded(mixed);
    assert_eq!((what.len(), malformed), (2, 0));
    assert_eq!(argv_of(&what[0]).expect("there").items, [&b"a"[..], b"bc", b""]);
    assert_eq!(argv_of(&what[1]).expect("there").items, [b"two"]);
}

/// Check that an argv which lacks a piece, or its close, is cut and says so, and that one of which nothing came is lost.
#[test]
fn a_part_that_is_not_whole_says_so() {
    for (lacking, items, cut) in
        [(2, vec![b"a".to_vec()], Some(Cut::Lost)), (3, vec![b"a".to_vec(), b"b".to_vec()], Some(Cut::Lost))]
    {
        let mut records = exec_of(1, b"a\0", b"b\0");
        records.remove(lacking);
        let argv = argv_of(&decoded(records).0[0]).expect("there");
        assert_eq!((argv.items, argv.cut), (items, cut), "without record {lacking}");
    }
    assert_eq!(argv_of(&decoded([begin(1), end(1, 0)]).0[0]), Err(Absent::Lost));
}

/// Check that an end without a beginning, and garbage, are counted and survived: every prefix of every record, and kinds
/// and lengths that lie.
#[test]
fn garbage_is_counted_and_survived() {
    assert_eq!(decoded([end(1, 0)]), (vec![], 1));
    for record in exec_of(1, b"x\0", b"y\0") {
        for len in 0..16 {
            assert_eq!(decoded([record[..len].to_vec()]), (vec![], 1), "prefix of {len} bytes");
        }
        for len in 16..record.len() {
            decoded([begin(1), record[..len].to_vec(), end(1, 0)]);
        }
    }
    let mut lying = data(1, wire_field::FIELD_ARGV, 0, b"x");
    lying[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    let (what, malformed) = decoded([begin(1), lying, vec![0xff; 100], end(1, 0)]);
    assert_eq!((what.len(), malformed), (1, 2));
}

/// Check that execs whose end never comes do not pile up, and that a new one is whole nevertheless.
#[test]
fn begun_execs_are_bounded() {
    let mut decoder = Decoder::new(Collect::default());
    for exec in 1..20_000 {
        decoder.push(&begin(exec));
        decoder.push(&data(exec, wire_field::FIELD_ENV, 0, &[b'x'; 4096]));
    }
    assert!(
        decoder.begun.len() <= MAX_BEGUN && decoder.bytes <= MAX_BYTES,
        "{} {}",
        decoder.begun.len(),
        decoder.bytes
    );
    let what = exec_of(99_999, b"new\0", b"").iter().find_map(|record| decoder.push(record));
    assert!(what.is_some());
}

/// Check that an exit's code is taken apart as wait(2) does.
#[test]
fn exit_codes_are_those_of_wait() {
    assert_eq!(end_of(3 << 8), End::Code(3));
    assert_eq!(end_of(9), End::Signal { number: 9, core: false });
    assert_eq!(end_of(11 | 0x80), End::Signal { number: 11, core: true });
}
