//! Tests of what is made of an exec's parts.

use super::*;
use crate::skeleton::types::wire_status;

fn parts(fields: &[(wire_field, &[u8])]) -> Parts {
    let mut parts = Parts::default();
    for (field, bytes) in fields {
        assert!(parts.append(field.0 as u16, 0, 0, bytes));
        assert!(parts.close(field.0 as u16, 0, wire_status::PART_WHOLE.0, bytes.len() as u32));
    }
    parts
}

/// Check that of a script the interpreter's words are told from the arguments, and that the caller's first one is put back.
#[test]
fn a_scripts_argv_is_the_callers() {
    let parts = parts(&[
        (wire_field::FIELD_ARGV, b"/usr/bin/env\0python3\0./run\0x\0"),
        (wire_field::FIELD_KERNEL_FILENAME, b"./run"),
        (wire_field::FIELD_ARGV0, b"alias"),
    ]);
    let (argv, interpreter) = words(&parts, wire_script::SCRIPT_YES, true);
    assert_eq!(argv.expect("there").items, [b"alias".to_vec(), b"x".to_vec()]);
    assert_eq!(interpreter, Ok(vec![b"/usr/bin/env".to_vec(), b"python3".to_vec()]));
    let (argv, interpreter) = words(&parts, wire_script::SCRIPT_NO, true);
    assert_eq!((argv.expect("there").items.len(), interpreter), (4, Ok(vec![])));
    assert_eq!(words(&parts, wire_script::SCRIPT_NO, false).1, Err(Absent::NotApplicable));
}

/// Check that a path that was not resident is taken from the kernel, without what the kernel puts in front.
#[test]
fn a_path_that_was_not_resident_is_the_kernels() {
    let begun = |call, dirfd| Begun::of(&rec_begin { call, dirfd, ..Default::default() });
    let at = wire_call::CALL_EXECVEAT.0 as u16;
    for (call, name, expected) in
        [(0, "/bin/true", "/bin/true"), (at, "/dev/fd/3/x", "x"), (at, "/dev/fd/3", ""), (at, "/abs", "/abs")]
    {
        let parts = parts(&[(wire_field::FIELD_KERNEL_FILENAME, name.as_bytes())]);
        assert_eq!(filename(&begun(call, 3), &parts).expect("there").bytes, expected.as_bytes(), "{name}");
    }
}
