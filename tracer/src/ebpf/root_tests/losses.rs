//! What finds no room: all of it is counted, and what is left is right.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use libbpf_rs::{MapCore, MapFlags, RingBuffer, RingBufferBuilder};
use nix::sys::stat::Mode;
use nix::unistd::{gettid, mkfifo};
use serial_test::serial;

use super::actor::{self, MISSING};
use super::{Tier, command, execs, start_with};
use crate::ebpf::decode::Decoder;
use crate::ebpf::load_cases::setup;
use crate::ebpf::programs::Programs;
use crate::ebpf::setup::Setup;
use crate::event::{Absent, Cut, Exec, Field, List, Lost, What};
use crate::options::{Collect, Options};
use crate::running::Observed;

/// More than the channel between the reader and whoever takes what happened has room for, and the ring buffer.
const STORM: usize = 5_000;

/// Check that of a storm that nobody reads, what was seen and what was lost are together what happened, and that the
/// children of a command that has filled the table of processes are counted.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn of_a_storm_that_nobody_reads_all_is_seen_or_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let told = dir.path().join("told");
    mkfifo(&told, Mode::S_IRWXU).expect("made");
    let words = actor::command(&format!("spawn 3 fail {STORM} tell {}", told.display()));
    let target = command(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let collect = Collect {
        argv: false,
        env: false,
        interpreter: false,
        cwd: false,
        fds: false,
        credentials: false,
        cgroup: false,
        namespace_pids: false,
    };
    let options = Options { collect, ring_bytes: 0, max_processes: 1, ..Options::default() };
    let running = start_with(&target, &options, Tier::FentrySleepable).expect("starts");
    let exact = running.backend.tier.as_deref() != Some(Tier::Tracepoint.name());
    // The storm is over before anything is taken.
    assert_eq!(fs::read(&told).expect("the actor tells"), b"told");
    let (all, ended) = super::all_of(running);

    let mut lost = Lost::default();
    for what in &all {
        if let What::Lost(new) = what {
            lost.execs += new.execs;
            lost.others += new.others;
            lost.untracked += new.untracked;
        }
    }
    assert_eq!(lost, ended.lost);
    assert_eq!(lost.untracked, 3);
    // env(1), which executes the actor.
    let (happened, seen) = (2 + STORM as u64, execs(&all).len() as u64);
    assert!(lost.execs > 0 && seen > 2, "{lost:?}, {seen} seen");
    let exits = all.iter().filter(|what| matches!(what, What::Exit(_))).count() as u64;
    if exact {
        assert_eq!((seen + lost.execs, exits + lost.others), (happened, 1), "{lost:?}");
    } else {
        // See `each_tier_sees_successes_and_failures`.
        assert!(seen + lost.execs >= happened && exits + lost.others >= 1, "{lost:?}");
    }
    let names_are_right = execs(&all)[2..]
        .iter()
        .all(|exec| exec.errno == 2 && exec.filename.as_ref().map_or(true, |name| name.bytes == MISSING.as_bytes()));
    assert!(names_are_right);
}

/// The programs at work on this process, with a ring buffer that is read when the test wants it.
struct Bench {
    ring: RingBuffer<'static>,
    programs: Programs,
    decoder: Arc<Mutex<(Decoder, Vec<What>)>>,
}

impl Bench {
    fn start() -> Self {
        let setup = Setup { max_processes: 64, ..setup(false, Tier::FentrySleepable) };
        let programs = Programs::start(&setup).expect("starts");
        programs.follow(std::process::id()).expect("there is room");
        let decoder = Arc::new(Mutex::new((Decoder::new(Collect::default()), Vec::new())));
        let mut ring = RingBufferBuilder::new();
        let into = Arc::clone(&decoder);
        let take = move |record: &[u8]| {
            let (decoder, all) = &mut *into.lock().expect("no panic");
            all.extend(decoder.push(record).map(|Observed { what, .. }| what));
            0
        };
        ring.add(&programs.skel.maps.events, take).expect("added");
        Self { ring: ring.build().expect("built"), programs, decoder }
    }

    /// What has come since the last time, and what was lost since.
    fn take(&mut self, before: &mut Lost) -> (Vec<What>, Lost) {
        self.ring.consume().expect("read");
        let now = self.programs.lost();
        let new = Lost {
            execs: now.execs - before.execs,
            others: now.others - before.others,
            untracked: now.untracked - before.untracked,
        };
        *before = now;
        let (decoder, all) = &mut *self.decoder.lock().expect("no panic");
        assert_eq!(decoder.malformed(), 0);
        (std::mem::take(all), new)
    }
}

/// Either it is as expected, or as much of it as there was room for, and marked.
#[track_caller]
fn assert_right(list: &Field<List<Vec<u8>>>, expected: &[&[u8]]) {
    match list {
        Ok(List { items, cut: None }) => assert_eq!(items, expected),
        Ok(List { items, cut: Some(Cut::Lost) }) => assert!(is_beginning(items, expected), "{items:?}"),
        Err(Absent::Lost) => {}
        other => panic!("{other:?}"),
    }
}

/// The last of the items may lack its end.
fn is_beginning(items: &[Vec<u8>], of: &[&[u8]]) -> bool {
    items.len() <= of.len() && items.iter().zip(of).all(|(item, whole)| whole.starts_with(item))
}

/// Room in the ring buffer for some twenty execs, of which each of these rounds leaves another rest for its last ones.
const ROUNDS: usize = 64;

/// Check that wherever the ring buffer is full, each exec, child and end is seen or counted, and what is there of an exec
/// is right; that one whose earlier end was missed, or for which a table has no room, is counted; and that an exec that
/// finds no scratch to describe itself in says so.
#[test]
#[ignore = "root: loads BPF programs"]
#[serial]
fn wherever_the_room_ends_nothing_is_wrong_or_uncounted() {
    let mut bench = Bench::start();
    let mut before = bench.programs.lost();
    let long = "l".repeat(3_000);
    let argv = ["/bin/true", &long[..300], &long];
    let mut holes = 0;
    // Each makes the list of files longer, and with it the records before those for which there is no room.
    let mut files = Vec::new();
    for round in 0..ROUNDS {
        files.push(std::fs::File::open("/dev/null").expect("opens"));
        let (fails, spawns) = (round % 16, 3);
        actor::fail(fails);
        for _ in 0..spawns {
            let mut command = Command::new(argv[0]);
            command.args(&argv[1..]).env_clear().env("V", &long[..round * 40]);
            assert!(command.status().expect("starts").success());
        }
        actor::fail(1);
        let (all, lost) = bench.take(&mut before);
        let execs = execs(&all);
        for exec in &execs {
            let expected = if exec.errno == 0 { argv.map(str::as_bytes).to_vec() } else { actor::ARGV.to_vec() };
            assert_right(&exec.argv, &expected);
            holes += usize::from(is_lacking(exec));
        }
        let others = all.iter().filter(|what| matches!(what, What::Child(_) | What::Exit(_))).count();
        let seen = (execs.len() as u64 + lost.execs, others as u64 + lost.others, lost.untracked);
        assert_eq!(seen, ((fails + spawns + 1) as u64, 2 * spawns as u64, 0), "round {round}: {lost:?}");
    }
    assert!(before.execs > 0 && before.others > 0 && holes > 0, "{before:?}, {holes} execs that lack something");

    let own = (u64::from(std::process::id()) << 32 | u64::from(gettid().as_raw().cast_unsigned())).to_ne_bytes();
    let stale = vec![0; bench.programs.skel.maps.pending.value_size() as usize];
    let pending = |programs: &Programs, key: &[u8]| programs.skel.maps.pending.update(key, &stale, MapFlags::ANY);
    pending(&bench.programs, &own).expect("there is room");
    actor::fail(1);
    let (all, lost) = bench.take(&mut before);
    assert_eq!((execs(&all).len(), lost.execs), (1, 1), "the end of an earlier one was missed");

    // Keys of no thread.
    let room = u64::from(bench.programs.skel.maps.pending.max_entries());
    (0..room).for_each(|key| pending(&bench.programs, &key.to_ne_bytes()).expect("there is room"));
    actor::fail(2);
    let (all, lost) = bench.take(&mut before);
    assert_eq!((execs(&all).len(), lost.execs), (0, 2), "the table of execs that are under way is full");
    (0..room).for_each(|key| bench.programs.skel.maps.pending.delete(&key.to_ne_bytes()).expect("it is there"));

    let claims = &bench.programs.skel.maps.claims;
    (0..claims.max_entries()).for_each(|slot| claims.update(&slot.to_ne_bytes(), &[1], MapFlags::ANY).expect("room"));
    actor::fail(1);
    let (all, lost) = bench.take(&mut before);
    let [exec] = execs(&all)[..] else { panic!("{all:?}") };
    assert_eq!(lost, Lost::default());
    assert_eq!(exec.filename.as_ref().expect("there").bytes, MISSING.as_bytes());
    assert_eq!((&exec.argv, &exec.env), (&Err(Absent::Lost), &Err(Absent::Lost)));
    assert_eq!((&exec.cwd, &exec.fds, &exec.credentials), (&Err(Absent::Lost), &Err(Absent::Lost), &Err(Absent::Lost)));
}

/// Something of it was lost.
fn is_lacking(exec: &Exec) -> bool {
    let list = |list: &Field<List<Vec<u8>>>| list.as_ref().is_ok_and(|list| list.cut.is_none());
    !(list(&exec.argv) && list(&exec.env) && exec.cwd.is_ok() && exec.fds.is_ok() && exec.credentials.is_ok())
}
