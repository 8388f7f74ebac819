//! Who goes when, without a VM and without waiting for time.

use std::cell::Cell;
use std::future::Future;

use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};

use super::*;

const MIB: u64 = 1024;

fn need(processors: usize, seconds: f64) -> Need {
    Need { processors, memory_kib: 640 * MIB, seconds }
}

/// Jobs that run until they are told to end.
struct World {
    slots: Slots,
    running: Rc<RefCell<Vec<&'static str>>>,
}

struct Fake {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl World {
    fn new(slots: Slots) -> Self {
        Self { slots, running: Rc::default() }
    }

    fn start(&self, name: &'static str, need: Need) -> Fake {
        let (slots, running) = (self.slots.clone(), Rc::clone(&self.running));
        let (end, ended) = oneshot::channel();
        let task = spawn_local(async move {
            let _slot = slots.acquire(need).await;
            running.borrow_mut().push(name);
            drop(ended.await);
            running.borrow_mut().retain(|other| *other != name);
        });
        Fake { end, task }
    }

    /// The names of those that run, once nothing moves any more.
    async fn running(&self) -> Vec<&'static str> {
        for _ in 0..100 {
            yield_now().await;
        }
        self.running.borrow().clone()
    }
}

impl Fake {
    async fn end(self) {
        self.end.send(()).unwrap();
        self.task.await.unwrap();
    }
}

fn play(scene: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    LocalSet::new().block_on(&runtime, scene);
}

#[test]
fn the_longest_of_those_that_wait_goes_first() {
    play(async {
        let world = World::new(Slots::on(2, || None));
        let first = world.start("first", need(1, 1.0));
        let second = world.start("second", need(1, 1.0));
        assert_eq!(world.running().await, ["first", "second"]);
        let jobs = [("short", 2.0), ("long", 9.0), ("short too", 2.0)];
        let [short, long, too] = jobs.map(|(name, seconds)| world.start(name, need(1, seconds)));
        assert_eq!(world.running().await, ["first", "second"]);
        first.end().await;
        assert_eq!(world.running().await, ["second", "long"]);
        second.end().await;
        assert_eq!(world.running().await, ["long", "short"]);
        long.end().await;
        assert_eq!(world.running().await, ["short", "short too"]);
        short.end().await;
        too.end().await;
        assert!(world.running().await.is_empty());
    });
}

#[test]
fn processors_are_never_promised_twice_and_never_idle_while_something_fits() {
    play(async {
        let world = World::new(Slots::on(2, || None));
        let one = world.start("one", need(1, 1.0));
        let wide = world.start("wide", need(2, 9.0));
        let beside = world.start("beside", need(1, 1.0));
        assert_eq!(world.running().await, ["one", "beside"]);
        one.end().await;
        assert_eq!(world.running().await, ["beside"]);
        beside.end().await;
        let last = world.start("last", need(1, 1.0));
        assert_eq!(world.running().await, ["wide"]);
        wide.end().await;
        assert_eq!(world.running().await, ["last"]);
        last.end().await;
    });
}

#[test]
fn a_vm_that_is_larger_than_the_machine_runs_alone() {
    play(async {
        let world = World::new(Slots::on(2, || Some(100 * MIB)));
        let huge = world.start("huge", need(8, 2.0));
        let other = world.start("other", need(1, 1.0));
        assert_eq!(world.running().await, ["huge"]);
        huge.end().await;
        assert_eq!(world.running().await, ["other"]);
        other.end().await;
    });
}

#[test]
fn free_memory_is_asked_for_before_each_boot() {
    play(async {
        let free = Rc::new(Cell::new(1300 * MIB));
        let world = World::new(Slots::on(4, {
            let free = Rc::clone(&free);
            move || Some(free.get())
        }));
        let jobs = ["a", "b", "c", "d"].map(|name| world.start(name, need(1, 1.0)));
        assert_eq!(world.running().await, ["a", "b"]);
        free.set(5000 * MIB);
        let [a, b, c, d] = jobs;
        a.end().await;
        assert_eq!(world.running().await, ["b", "c", "d"]);
        for job in [b, c, d] {
            job.end().await;
        }
    });
}

#[test]
fn a_number_of_vms_overrides_what_they_need() {
    play(async {
        let world = World::new(Slots::for_vms(3));
        let jobs = ["a", "b", "c", "d"].map(|name| world.start(name, need(64, 1.0)));
        assert_eq!(world.running().await, ["a", "b", "c"]);
        for job in jobs {
            job.end().await;
        }
    });
}

/// Check that neither one that waits nor one that was let in and never noticed keeps its slot when it is dropped.
#[test]
fn who_is_dropped_leaves_its_place_to_others() {
    play(async {
        let slots = Slots::on(1, || None);
        let first = slots.acquire(need(1, 1.0)).await;
        let (mut let_in, mut waits) = (Box::pin(slots.acquire(need(1, 9.0))), Box::pin(slots.acquire(need(1, 8.0))));
        tokio::select! {
            biased;
            _ = &mut let_in => panic!("there is one slot"),
            _ = &mut waits => panic!("there is one slot"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        drop(waits);
        drop(let_in);
        tokio::select! {
            biased;
            _ = slots.acquire(need(1, 1.0)) => {}
            () = std::future::ready(()) => panic!("the slot is lost"),
        }
    });
}
