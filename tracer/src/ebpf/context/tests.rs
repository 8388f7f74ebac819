use rstest::rstest;

use super::*;
use crate::skeleton::types::{limits, wire_path_flags, wire_status};

const UNLINKED: u32 = wire_path_flags::PATH_UNLINKED.0;
const MADE_UP: u32 = wire_path_flags::PATH_MADE_UP.0;
const TMPFS: u32 = 0x0102_1994;

/// A path on the wire: its names from the last to the first.
fn path(flags: u32, magic: u32, names: &[&[u8]], status: i32) -> Vec<u8> {
    let mut bytes = [flags.to_ne_bytes(), magic.to_ne_bytes()].concat();
    for name in names {
        bytes.extend(u32::try_from(name.len()).expect("short").to_ne_bytes());
        bytes.extend_from_slice(name);
        // What was there before: undefined bytes, which must not matter.
        bytes.resize(bytes.len().next_multiple_of(8), 0xee);
    }
    bytes.extend(limits::WIRE_PATH_END.0.to_ne_bytes());
    bytes.extend(status.to_ne_bytes());
    bytes
}

/// A descriptor on the wire.
fn wire_fd(number: u32, path: &[u8]) -> Vec<u8> {
    let mut bytes = (-7_i64).to_ne_bytes().to_vec();
    bytes.extend(4_026_u64.to_ne_bytes());
    for word in [number, 0o2, 1, 29] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend_from_slice(path);
    bytes
}

/// The parts of an exec with one part that has come in two pieces, and that is closed with the status, if there is one.
fn parts(field: wire_field, bytes: &[u8], closed: Option<i32>) -> Parts {
    let mut parts = Parts::default();
    let number = u16::try_from(field.0).expect("small");
    let (one, other) = bytes.split_at(bytes.len() / 2);
    assert!(parts.append(number, 0, 0, one));
    assert!(parts.append(number, 0, u32::try_from(one.len()).expect("short"), other));
    if let Some(status) = closed {
        assert!(parts.close(number, 0, status, u32::try_from(bytes.len()).expect("short")));
    }
    parts
}

fn text(bytes: &[u8]) -> Field<Text> {
    Ok(Text { bytes: bytes.to_vec(), cut: None })
}

/// Check that a path's text is the one that the kernel's d_path() makes of it, for each kind of file system.
#[rstest]
#[case::root(0, TMPFS, &[], b"/")]
#[case::names(0, TMPFS, &[&b"bin"[..], b"local", b"usr"], b"/usr/local/bin")]
#[case::bytes(0, TMPFS, &[&b"\xff\n (deleted)"[..]], b"/\xff\n (deleted)")]
#[case::eight_with_the_header(0, TMPFS, &[&b"four"[..], b"fives"], b"/fives/four")]
#[case::deleted(UNLINKED, TMPFS, &[&b"gone"[..], b"tmp"], b"/tmp/gone (deleted)")]
#[case::memfd(MADE_UP, TMPFS, &[&b"memfd:x"[..]], b"/memfd:x (deleted)")]
#[case::without_a_name(MADE_UP, TMPFS, &[&b""[..]], b"/ (deleted)")]
#[case::pipe(MADE_UP, 0x5049_5045, &[&b""[..]], b"pipe:[4026]")]
#[case::socket(MADE_UP, 0x534f_434b, &[&b"UDP"[..]], b"socket:[4026]")]
#[case::eventfd(MADE_UP, 0x0904_1934, &[&b"[eventfd]"[..]], b"anon_inode:[eventfd]")]
#[case::namespace(MADE_UP, 0x6e73_6673, &[&b"mnt"[..]], b"mnt:[4026]")]
#[case::bound_namespace(0, 0x6e73_6673, &[&b"netns"[..], b"run"], b"/run/netns")]
#[case::pidfd(MADE_UP, 0x5049_4446, &[&b""[..]], b"anon_inode:[pidfd]")]
fn the_text_of_a_path_is_the_kernels(
    #[case] flags: u32,
    #[case] magic: u32,
    #[case] names: &[&[u8]],
    #[case] expected: &[u8],
) {
    let bytes = wire_fd(3, &path(flags, magic, names, 0));
    let fds = fds(&parts(wire_field::FIELD_FDS, &bytes, Some(0))).expect("there");
    assert_eq!(fds.cut, None);
    assert_eq!(fds.items[0].path, text(expected));
}

/// Check that a path without its beginning is none, with the reason, and that the others of the list are there.
#[rstest]
#[case::unreadable(path(0, TMPFS, &[b"last"], 14), Absent::Unreadable(14))]
#[case::too_deep(path(0, TMPFS, &[b"last"], wire_status::PART_TOO_LONG.0), Absent::Unreadable(36))]
#[case::dma_buffer(path(MADE_UP, 0x444d_4142, &[b""], 0), Absent::NotSeen("the name of a DMA buffer"))]
fn a_path_that_lacks_something_is_none(#[case] bad: Vec<u8>, #[case] reason: Absent) {
    let good = path(0, TMPFS, &[b"x"], 0);
    let bytes = [wire_fd(0, &bad), wire_fd(1, &good)].concat();
    let fds = fds(&parts(wire_field::FIELD_FDS, &bytes, Some(0))).expect("there");
    assert_eq!((&fds.items[0].path, fds.cut), (&Err(reason), None));
    assert_eq!(fds.items[1].path, text(b"/x"));
}

/// Check that the working directory and the cgroup are paths, and absent when their record has not come or is partial.
#[test]
fn a_lone_path_is_whole_or_absent() {
    let bytes = path(UNLINKED, TMPFS, &[b"child", b"parent"], 0);
    assert_eq!(cwd(&parts(wire_field::FIELD_CWD, &bytes, Some(0))), text(b"/parent/child (deleted)"));
    let bytes = path(0, 0, &[b"tracer.scope", b"user.slice"], 0);
    assert_eq!(cgroup(&parts(wire_field::FIELD_CGROUP, &bytes, Some(0))), text(b"/user.slice/tracer.scope"));
    assert_eq!(cwd(&Parts::default()), Err(Absent::Lost));
    for len in 0..bytes.len() {
        assert_eq!(cgroup(&parts(wire_field::FIELD_CGROUP, &bytes[..len], None)), Err(Absent::Lost), "{len} bytes");
    }
    assert_eq!(cgroup(&parts(wire_field::FIELD_CGROUP, b"", Some(2))), Err(Absent::Unreadable(2)));
}

/// Check that each field of a descriptor arrives, and that a list which ends early has what came and says why it ended.
#[test]
fn descriptors_are_listed_as_far_as_they_came() {
    let one = wire_fd(0, &path(0, TMPFS, &[b"a"], 0));
    let both = [&one[..], &wire_fd(5, &path(0, TMPFS, &[b"b"], 0))].concat();
    let list = |bytes: &[u8], closed| fds(&parts(wire_field::FIELD_FDS, bytes, closed));
    let whole = list(&both, Some(0)).expect("there");
    let fd = |number, path: &[u8]| Fd {
        number,
        path: text(path),
        flags: 0o2,
        cloexec: true,
        offset: (-7_i64).cast_unsigned(),
        mount_id: 29,
        inode: Ok(4_026),
    };
    assert_eq!(whole, List { items: vec![fd(0, b"/a"), fd(5, b"/b")], cut: None });
    for (closed, cut) in
        [(None, Cut::Lost), (Some(wire_status::PART_TOO_LONG.0), Cut::TooLong), (Some(14), Cut::Unreadable(14))]
    {
        assert_eq!(list(&one, closed), Ok(List { items: vec![fd(0, b"/a")], cut: Some(cut) }));
    }
    for len in one.len() + 1..both.len() {
        let expected = List { items: vec![fd(0, b"/a")], cut: Some(Cut::Lost) };
        assert_eq!(list(&both[..len], None), Ok(expected.clone()), "{len} bytes");
        assert_eq!(list(&both[..len], Some(0)), Ok(expected), "{len} bytes, which the kernel side takes for whole");
    }
    assert_eq!(list(b"", Some(0)), Ok(List::default()));
    assert_eq!(list(b"", None), Err(Absent::Lost));
}

/// Check that ids and groups arrive, and that without room for the groups there are the ids.
#[test]
fn credentials_are_there_without_their_groups() {
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_ne_bytes()).collect::<Vec<u8>>();
    let ids = numbers(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let mut parts = parts(wire_field::FIELD_CREDENTIALS, &ids, Some(0));
    let mut expected = Credentials {
        uid: Ids { real: 1, effective: 2, saved: 3, fs: 4 },
        gid: Ids { real: 5, effective: 6, saved: 7, fs: 8 },
        groups: List { items: Vec::new(), cut: Some(Cut::Lost) },
    };
    assert_eq!(credentials(&parts).as_ref(), Ok(&expected));
    let field = u16::try_from(wire_field::FIELD_GROUPS.0).expect("small");
    assert!(parts.append(field, 0, 0, &numbers(&[27, 1_000])));
    assert!(parts.close(field, 0, wire_status::PART_TOO_LONG.0, 8));
    expected.groups = List { items: vec![27, 1_000], cut: Some(Cut::TooLong) };
    assert_eq!(credentials(&parts), Ok(expected));
    for len in 0..32 {
        let partial = self::parts(wire_field::FIELD_CREDENTIALS, &ids[..len], Some(0));
        assert_eq!(credentials(&partial), Err(Absent::Lost), "{len} bytes");
    }
}

/// Check that the process ids are all there, or absent.
#[test]
fn process_ids_are_all_there_or_absent() {
    let bytes = [4_711_u32, 1].map(u32::to_ne_bytes).concat();
    let field = wire_field::FIELD_NAMESPACE_PIDS;
    assert_eq!(namespace_pids(&parts(field, &bytes, Some(0))), Ok(vec![4_711, 1]));
    assert_eq!(namespace_pids(&parts(field, &bytes, None)), Err(Absent::Lost));
    assert_eq!(namespace_pids(&parts(field, &bytes, Some(14))), Err(Absent::Unreadable(14)));
}

/// Check that no bytes make the decoders panic: each word of a valid part replaced by extreme values.
#[test]
fn nothing_that_the_kernel_side_could_send_is_fatal() {
    let valid = wire_fd(1, &path(MADE_UP, 0x5049_5045, &[b"some name", b"x"], 0));
    let fields = [
        wire_field::FIELD_CWD,
        wire_field::FIELD_FDS,
        wire_field::FIELD_CREDENTIALS,
        wire_field::FIELD_GROUPS,
        wire_field::FIELD_CGROUP,
        wire_field::FIELD_NAMESPACE_PIDS,
    ];
    for at in 0..=valid.len() - 4 {
        for word in [0, 1, 0x7fff_ffff, 0x7fff_fffe, 0xffff_fffb, 0xffff_ffff, u32::from_ne_bytes(*b"text")] {
            let mut bytes = valid.clone();
            bytes[at..at + 4].copy_from_slice(&u32::to_ne_bytes(word));
            for field in fields {
                for bytes in [&bytes[..], &bytes[32..]] {
                    let parts = parts(field, bytes, Some(0));
                    let list = fds(&parts);
                    assert!(list.is_err() || list.is_ok_and(|list| list.items.len() <= bytes.len() / 48));
                    let _ = (cwd(&parts), credentials(&parts), cgroup(&parts), namespace_pids(&parts));
                }
            }
        }
    }
}
