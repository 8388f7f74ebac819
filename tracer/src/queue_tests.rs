use std::sync::mpsc;
use std::thread;

use super::*;

/// Check that all items arrive in order, however small the queue is, and that the reader's end comes with the writer's.
#[test]
fn everything_arrives_in_order() {
    for capacity in [1, 2, 7, 1_000] {
        let (sink, source) = queue(capacity);
        let writer = thread::spawn(move || (0..1_000).all(|item| sink.send(item)));
        assert!(source.eq(0..1_000), "capacity {capacity}");
        assert!(writer.join().expect("no panic"));
    }
}

/// Check that an item is read although no other one follows, also just after another one was.
#[test]
fn a_single_item_is_read() {
    let (sink, mut source) = queue(100);
    let (told, tell) = mpsc::channel();
    let writer = thread::spawn(move || {
        for item in 0..3 {
            sink.send(item);
            // The next one only when this one has been read.
            tell.recv().expect("the reader is there");
        }
    });
    for item in 0..3 {
        assert_eq!(source.next(), Some(item));
        told.send(()).expect("the writer is there");
    }
    assert_eq!((source.next(), source.next()), (None, None));
    writer.join().expect("no panic");
}

/// Check that a writer that waits for room is let go when the reader goes, and told so.
#[test]
fn a_writer_is_told_that_nobody_reads() {
    let (sink, source) = queue(1);
    let (told, tell) = mpsc::channel();
    let writer = thread::spawn(move || {
        assert!(sink.send(1));
        told.send(()).expect("the test is there");
        (sink.send(2), sink.send(3))
    });
    tell.recv().expect("the writer is there");
    drop(source);
    assert_eq!(writer.join().expect("no panic"), (false, false));
}

/// Check that a writer is held up by a reader that does not read, so that what waits does not grow.
#[test]
fn a_full_queue_holds_up_the_writer() {
    let (sink, mut source) = queue(2);
    let (told, tell) = mpsc::channel();
    let writer = thread::spawn(move || {
        (0..10).for_each(|item| {
            sink.send(item);
            told.send(item).expect("the test is there");
        });
    });
    assert_eq!(source.next(), Some(0));
    // What the reader has taken, and a queue full.
    let sent = || tell.recv().expect("the writer is there");
    while sent() < 2 {}
    assert!(source.taken.len() + source.shared.lock().items.len() <= 4);
    assert!(source.eq(1..10));
    writer.join().expect("no panic");
}

/// Check that nobody is woken for a reader that is busy, and that one which waits is for the first item.
#[test]
fn only_a_reader_that_waits_is_woken() {
    let (sink, mut source) = queue(100);
    sink.send(1);
    assert_eq!(source.next(), Some(1));
    assert_eq!(sink.0.lock().wanted, usize::MAX);
    let reader = thread::spawn(move || source.collect::<Vec<_>>());
    // It pauses first, and then waits for one.
    while sink.0.lock().wanted != 1 {
        thread::yield_now();
    }
    sink.send(2);
    assert!(sink.0.lock().wanted != 1, "it has been woken");
    drop(sink);
    assert_eq!(reader.join().expect("no panic"), [2]);
}
