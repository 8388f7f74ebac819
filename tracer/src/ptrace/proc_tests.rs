use super::*;
use crate::event::Absent;

const STATUS: &[u8] = b"Name:\ttrue\nUmask:\t0022\nState:\tt (tracing stop)\nTgid:\t70\nNgid:\t0\nPid:\t71\nPPid:\t7\n\
    TracerPid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t4 24 27 \nNStgid:\t70\t2\nNSpid:\t71\t3\n";

/// Check what is taken of a status, without groups, and from a kernel that does not know namespaces' ids.
#[test]
fn a_status_is_decoded() {
    let status = Status::decode(STATUS).expect("whole");
    assert_eq!((status.tgid, status.ppid, status.tracer), (70, 7, 9));
    assert_eq!(status.namespace_pids, [70, 2]);
    assert_eq!(status.credentials.uid, Ids { real: 1, effective: 2, saved: 3, fs: 4 });
    assert_eq!(status.credentials.gid, Ids { real: 5, effective: 6, saved: 7, fs: 8 });
    assert_eq!(status.credentials.groups.items, [4, 24, 27]);
    let text = String::from_utf8_lossy(STATUS).replace("4 24 27 ", "").replace("NStgid", "Other");
    let status = Status::decode(text.as_bytes()).expect("whole");
    assert_eq!((status.credentials.groups.items, status.namespace_pids), (vec![], vec![70]));
}

const STAT: &[u8] = b"71 (a) b ) (c) t 7 71 71 34817 71 4194304 10 0 0 0 0 0 0 0 20 0 1 0 359 1000 100 \
    18446744073709551615 1 2 3 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 11 12 13 1001 1009 1009 1100 0\n";

/// Check that parent and areas are found behind any name, and that the kernel's zeros, for what we may not know, are none.
#[test]
fn parent_and_areas_are_found_behind_any_name() {
    let areas = Areas { args: (1001, 1009), env: (1009, 1100) };
    assert_eq!(Stat::decode(STAT), Some(Stat { ppid: 7, areas: Some(areas) }));
    let hidden = String::from_utf8_lossy(STAT).replace("1001 1009 1009 1100", "0 0 0 0");
    assert_eq!(Stat::decode(hidden.as_bytes()), Some(Stat { ppid: 7, areas: None }));
    assert_eq!(Stat::decode(b"71 (a) t"), None);
}

/// Check this process's own.
#[test]
fn this_process_is_read() {
    let pid = std::process::id();
    assert_eq!(Status::of(pid).expect("readable").tgid, pid);
    let stat = Stat::of(pid).expect("readable");
    assert_eq!(stat.ppid, std::os::unix::process::parent_id());
    let areas = stat.areas.expect("our own");
    assert!(areas.args.0 < areas.args.1 && areas.args.1 <= areas.env.0, "{areas:?}");
    let line = cmdline(pid).expect("readable");
    assert_eq!(areas.args.1 - areas.args.0, line.len() as u64);
    let file = tempfile::tempfile().expect("a file");
    let number = std::os::fd::AsRawFd::as_raw_fd(&file).cast_unsigned();
    let fds = fds(pid).expect("readable").items;
    let own = fds.iter().find(|fd| fd.number == number).expect("it is open");
    let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().expect("there"));
    assert_eq!((own.inode.clone(), own.cloexec, own.offset), (Ok(inode), true, 0));
    assert!(fds.is_sorted_by_key(|fd| fd.number));
}

/// Check that a process that is not there is gone, in every field.
#[test]
fn a_process_that_is_not_there_is_gone() {
    const NONE: u32 = u32::MAX >> 1;
    assert_eq!(Status::of(NONE), Err(Absent::Gone));
    assert_eq!(Stat::of(NONE), Err(Absent::Gone));
    assert_eq!(comm(NONE), Err(Absent::Gone));
    assert_eq!(cwd(NONE), Err(Absent::Gone));
    assert_eq!(fds(NONE), Err(Absent::Gone));
    assert_eq!(cgroup(NONE), Err(Absent::Gone));
}

/// Check the path in cgroup v2 among others, and that there may be none.
#[test]
fn the_path_of_cgroup_v2_is_found() {
    let path = |bytes| decode_cgroup(bytes).map(|text| text.bytes);
    assert_eq!(path(b"5:cpu:/a\n0::/system.slice/x\xff.service\n"), Some(b"/system.slice/x\xff.service".to_vec()));
    assert_eq!(path(b"1:name=systemd:/a\n"), None);
    assert_eq!(path(b"10::/no\n"), None);
}

/// Check an open file as old and new kernels have it.
#[test]
fn an_open_file_is_decoded() {
    let info = FdInfo { flags: 0o2_100_002, offset: 17, mount_id: 29, inode: None };
    assert_eq!(FdInfo::decode(b"pos:\t17\nflags:\t02100002\nmnt_id:\t29\n"), Some(info));
    let new = FdInfo { inode: Some(1_234_567), ..info };
    let text = b"pos:\t17\nflags:\t02100002\nmnt_id:\t29\nino:\t1234567\ntfd:  8 events: 19 ino:1\n";
    assert_eq!(FdInfo::decode(text), Some(new));
    let negative = FdInfo::decode(b"pos:\t-1\nflags:\t00\nmnt_id:\t1\n").expect("whole");
    assert_eq!(negative.offset, u64::MAX);
}

/// Check that nothing panics on texts that are cut anywhere, or changed in one place.
#[test]
fn garbage_does_not_panic() {
    let decode = |bytes: &[u8]| {
        let _ = (Status::decode(bytes), Stat::decode(bytes), FdInfo::decode(bytes), decode_cgroup(bytes));
    };
    for text in [STATUS, STAT, b"pos:\t17\nflags:\t02100002\nmnt_id:\t29\nino:\t1\n", b"0::/x\n"] {
        for at in 0..=text.len() {
            decode(&text[..at]);
            decode(&text[at..]);
            for byte in [0, b' ', b'\n', b')', b'-', b'9', 0xff] {
                let mut changed = text.to_vec();
                if let Some(place) = changed.get_mut(at) {
                    *place = byte;
                }
                decode(&changed);
            }
        }
    }
}
