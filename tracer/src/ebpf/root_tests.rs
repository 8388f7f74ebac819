//! Whole traces, in every tier.

use std::ffi::OsString;
use std::time::Duration;

use rstest::rstest;
use serial_test::serial;

use super::{Tier, start_with};
use crate::event::What;
use crate::options::{Launch, Options, Target};
use crate::running::Observed;

fn command(words: &[&str]) -> Target {
    let mut words = words.iter().map(OsString::from);
    let program = words.next().expect("a program");
    Target::Command(Launch { program, args: words.collect(), cwd: None, user: None })
}

#[rstest]
#[case(Tier::FentrySleepable)]
#[case(Tier::Fentry)]
#[case(Tier::Kprobe)]
#[case(Tier::Tracepoint)]
#[ignore = "root: loads BPF programs"]
#[serial]
fn smoke(#[case] tier: Tier) {
    let start = std::time::Instant::now();
    let target = command(&["/bin/sh", "-c", "/no/such/thing a b; /bin/true x y; exit 3"]);
    let running = start_with(&target, &Options::default(), tier).expect("starts");
    eprintln!("started after {:?}", start.elapsed());
    let all: Vec<Observed> = std::iter::from_fn(|| running.observed.recv_timeout(Duration::from_secs(30)).ok()).collect();
    let ended = running.thread.join().expect("no panic").expect("no error");
    eprintln!("{:#?} {ended:?}", all.iter().map(|observed| &observed.what).collect::<Vec<&What>>());
}
