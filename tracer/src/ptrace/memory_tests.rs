//! Memory is read of this very process: a process may always read its own.

use std::os::fd::AsRawFd;

use nix::libc;
use rstest::rstest;

use super::*;

fn own() -> Memory {
    Memory::of(std::process::id())
}

/// Without process_vm_readv, as where that is refused.
fn own_file() -> Memory {
    let memory = own();
    let file = File::open("/proc/self/mem").map_err(|err| errno(&err));
    memory.file.set(file).expect("it is not set yet");
    memory
}

fn address<T>(value: &[T]) -> u64 {
    value.as_ptr() as u64
}

/// An array of pointers to these strings, with the null pointer at its end.
fn pointers_to(strings: &[Vec<u8>]) -> Vec<u64> {
    strings.iter().map(|string| address(string)).chain([0]).collect()
}

/// A mapping that goes on behind the end of its file, where nothing can be read: not even by `/proc/PID/mem`, which does
/// not care for the rights of a page.
struct Hole(*mut libc::c_void);

const HOLE_AT: usize = 1 << 20;

impl Hole {
    fn new() -> Self {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(HOLE_AT as u64).expect("its length is set");
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, which is written to only by `put`, and unmapped by `drop`.
        let map =
            unsafe { libc::mmap(std::ptr::null_mut(), 2 * HOLE_AT, rights, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(map, libc::MAP_FAILED);
        Self(map)
    }

    /// Puts bytes right before the hole.
    fn put(&mut self, bytes: &[u8]) -> u64 {
        // SAFETY: the first half of the mapping is ours to write, and longer than that.
        unsafe {
            let place = self.0.byte_add(HOLE_AT - bytes.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len());
            place as u64
        }
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, and nobody has a reference into it.
        unsafe { libc::munmap(self.0, 2 * HOLE_AT) };
    }
}

const FAULT: Option<Cut> = Some(Cut::Unreadable(Errno::EFAULT as i32));

/// Check strings that end at the end of what is mapped, that do not end there, and that are nowhere.
#[rstest]
#[case::vm_readv(own())]
#[case::file(own_file())]
fn a_text_ends_where_its_memory_does(#[case] memory: Memory) {
    let mut hole = Hole::new();
    let at = hole.put(b"whole\0");
    assert_eq!(memory.text(at, 100), Ok(Text { bytes: b"whole".to_vec(), cut: None }));
    assert_eq!(memory.text(at, 5), Ok(Text { bytes: b"whole".to_vec(), cut: Some(Cut::TooLong) }));
    let at = hole.put(b"broken");
    assert_eq!(memory.text(at, 100), Ok(Text { bytes: b"broken".to_vec(), cut: FAULT }));
    for nowhere in [0, 8, at + 6, u64::MAX, u64::MAX - 4095] {
        assert_eq!(memory.text(nowhere, 100), Err(absent(Errno::EFAULT)), "{nowhere:#x}");
    }
    let long = [b'x'; 10_000];
    let text = memory.text(address(&long), 9_000).expect("readable");
    assert_eq!((text.bytes.len(), text.cut), (9_000, Some(Cut::TooLong)));
}

/// Check arrays of pointers of either width, also at odd places, up to the hole and across many pages.
#[rstest]
#[case::vm_readv(own())]
#[case::file(own_file())]
fn pointers_end_at_the_null_one(#[case] memory: Memory) {
    let mut hole = Hole::new();
    let wide = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let narrow = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let list = |items: &[u64], cut| Ok(List { items: items.to_vec(), cut });
    assert_eq!(memory.pointers(0, 8), list(&[], None));
    assert_eq!(memory.pointers(hole.put(&wide(&[1, 2, 0])), 8), list(&[1, 2], None));
    assert_eq!(memory.pointers(hole.put(&narrow(&[1, u32::MAX, 0])), 4), list(&[1, u32::MAX.into()], None));
    assert_eq!(memory.pointers(hole.put(&wide(&[1, 2])), 8), list(&[1, 2], FAULT));
    assert_eq!(memory.pointers(hole.put(&[wide(&[7]), vec![1]].concat()), 8), list(&[7], FAULT));
    assert_eq!(memory.pointers(8, 8), Err(absent(Errno::EFAULT)));
    let many: Vec<u64> = (1..100_000).chain([0]).collect();
    let at = hole.put(&[wide(&many), vec![0; 3]].concat());
    assert_eq!(memory.pointers(at, 8), list(&many[..many.len() - 1], None));
}

/// Check that an array without an end is cut, not read for ever.
#[test]
fn pointers_without_an_end_are_cut() {
    let endless = vec![1_u64; MAX_TOTAL / 8 + 100_000];
    let list = own().pointers(address(&endless), 8).expect("readable");
    assert_eq!(list.cut, Some(Cut::TooLong));
    assert!(list.items.len() < endless.len());
}

/// Check strings of all lengths, and that the first that cannot be read ends the list with what there is of it.
#[rstest]
#[case::vm_readv(own())]
#[case::file(own_file())]
fn strings_are_read_until_one_cannot_be(#[case] memory: Memory) {
    let strings: Vec<Vec<u8>> =
        [0, 1, 4095, 4096, 4097, 70_000, 131_071].iter().map(|len| [vec![b's'; *len], vec![0]].concat()).collect();
    let list = |pointers: Vec<u64>| memory.strings(List { items: pointers, cut: None });
    let mut pointers = pointers_to(&strings);
    pointers.pop();
    let read = list(pointers.clone());
    assert!(read.items.iter().zip(&strings).all(|(read, string)| [read.as_slice(), b"\0"].concat() == *string));
    assert_eq!((read.items.len(), read.cut), (strings.len(), None));

    let mut hole = Hole::new();
    let broken = hole.put(b"broken");
    let read = list([&pointers[..2], &[broken], &pointers[2..]].concat());
    assert_eq!((read.items, read.cut), (vec![b"".to_vec(), b"s".to_vec(), b"broken".to_vec()], FAULT));
    let read = list([&pointers[..2], &[8]].concat());
    assert_eq!((read.items.len(), read.cut), (2, FAULT));

    let too_long = [vec![b'l'; MAX_STRING], vec![0]].concat();
    let read = list(vec![address(&too_long), pointers[1]]);
    assert_eq!((read.items.len(), read.items[0].len(), read.cut), (1, MAX_STRING, Some(Cut::TooLong)));
    // The same string over and over: longer in all than the kernel takes, wherever it is.
    let read = list(vec![pointers[6]; 1000]);
    assert!(read.cut == Some(Cut::TooLong) && read.items.len() < 50);
}

/// Check that 2 MiB of arguments take at most 600 system calls: few long ones, many short ones, and many in no order.
#[rstest]
#[case::long(16, 131_071, 1)]
#[case::short(200_000, 9, 1)]
#[case::in_no_order(200_000, 9, 7_919)]
#[case::pages(512, 4_095, 5)]
fn two_mebibytes_take_few_system_calls(#[case] count: usize, #[case] len: usize, #[case] stride: usize) {
    let memory = own();
    let area = [vec![b'a'; len], vec![0]].concat().repeat(count);
    assert!(area.len() >= 2_000_000);
    let at = |index: usize| address(&area) + ((index * stride % count) * (len + 1)) as u64;
    let array: Vec<u64> = (0..count).map(at).chain([0]).collect();
    let pointers = memory.pointers(address(&array), 8).expect("readable");
    let strings = memory.strings(pointers);
    assert_eq!((strings.items.len(), strings.cut), (count, None));
    assert!(strings.items.iter().all(|string| string.len() == len));
    assert!(memory.calls() <= 600, "{} calls", memory.calls());
}
