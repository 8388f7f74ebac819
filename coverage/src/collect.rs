//! For the program that loads a BPF object: chooses the object, and writes what was counted. Main function: [`load`].
//!
//! `BPF_COVERAGE_DIR` names the directory for the results. For each object that is loaded, there are in it
//! `<object>-<pid>-<n>.json` (see [`Record`]) and, when something was counted, `<object>-<pid>-<n>.proftext`, a profile
//! in LLVM's text format. Each appears at once and whole. Nothing in here fails the program: what cannot be collected is
//! said on standard error.

use std::cell::Cell;
use std::env;
use std::fmt::Display;
use std::path::PathBuf;

use libbpf_rs::skel::Skel;

use crate::{Instrumented, Variant};

mod messages;
mod profile;
mod session;

use self::session::Session;
pub use crate::record::{Outcome, ProgramRecord, Record};

thread_local! {
    static CHOSEN: Cell<Option<(&'static Instrumented, &'static Variant)>> = const { Cell::new(None) };
}

/// What a loaded object counts. When it is dropped, it is written, also while a panic unwinds.
///
/// Drop it after the skeleton and its links, so that everything that the programs do is counted. It keeps the programs and
/// the map of counters alive, but not attached.
#[derive(Debug)]
#[must_use = "dropping it writes what was counted so far"]
pub struct Coverage(Option<Session>);

impl Coverage {
    /// Whether anything is to be written at all, and what.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.0.as_ref().map(Session::outcome)
    }
}

impl Drop for Coverage {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.write();
        }
    }
}

/// Runs `load`, which opens and loads a skeleton, with each instrumented object until the kernel accepts one, and at last
/// with the plain one. `load` is to do the same each time, and to attach nothing.
///
/// Without `BPF_COVERAGE_DIR`, it runs once, with the plain object.
///
/// # Errors
/// That of the plain object.
pub fn load<'obj, S, E>(
    instrumented: &'static Instrumented,
    load: impl FnMut() -> Result<S, E>,
) -> Result<(S, Coverage), E>
where
    S: Skel<'obj>,
    E: Display,
{
    let directory = env::var_os("BPF_COVERAGE_DIR").filter(|directory| !directory.is_empty());
    load_into(directory.map(PathBuf::from), instrumented, load)
}

/// As [`load`], with the value of `BPF_COVERAGE_DIR` given.
///
/// # Errors
/// That of the plain object.
pub fn load_into<'obj, S, E>(
    directory: Option<PathBuf>,
    instrumented: &'static Instrumented,
    mut load: impl FnMut() -> Result<S, E>,
) -> Result<(S, Coverage), E>
where
    S: Skel<'obj>,
    E: Display,
{
    let Some(directory) = directory else { return load().map(|skel| (skel, Coverage(None))) };
    let mut reasons = Vec::new();
    if instrumented.variants.is_empty() {
        reasons.push("built without coverage".to_owned());
    }
    for variant in instrumented.variants {
        let (result, said) = messages::captured(|| with_chosen(instrumented, variant, &mut load));
        match result {
            Ok(skel) => {
                let session = Session::new(directory, instrumented, Some(variant), &reasons, skel.object());
                return Ok((skel, Coverage(Some(session))));
            }
            Err(error) => reasons.push(format!("{}: {}", variant.mode.name(), messages::reason(&error, &said))),
        }
    }
    match load() {
        Ok(skel) => {
            let session = Session::new(directory, instrumented, None, &reasons, skel.object());
            Ok((skel, Coverage(Some(session))))
        }
        Err(error) => {
            reasons.push(format!("plain: {error:#}"));
            Session::not_loaded(directory, instrumented, &reasons).write();
            Err(error)
        }
    }
}

/// The bytes that the generated skeleton opens: those that [`load`] chose on this thread, else the plain ones.
#[must_use]
pub fn object(instrumented: &'static Instrumented, plain: &'static [u8]) -> &'static [u8] {
    match CHOSEN.get() {
        Some((of, variant)) if std::ptr::eq(of, instrumented) => variant.object,
        _ => plain,
    }
}

fn with_chosen<T>(instrumented: &'static Instrumented, variant: &'static Variant, load: impl FnOnce() -> T) -> T {
    /// Puts back what was chosen before, also when `load` panics.
    struct Restore(Option<(&'static Instrumented, &'static Variant)>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CHOSEN.set(self.0);
        }
    }
    let _restore = Restore(CHOSEN.replace(Some((instrumented, variant))));
    load()
}
