//! Ways to load: a [`Case`] is one program in one configuration of its object.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;

use libbpf_rs::{ObjectBuilder, OpenObject};

use crate::record::DEFAULT_CASE;

/// Why an object could not be opened and configured, for a person.
pub type CaseError = Box<dyn Error + Send + Sync>;

/// Opens an object, configures it as for production, and shows it. Called at least once for each configuration.
type Open<'a> = dyn Fn(&mut dyn FnMut(&mut OpenObject)) -> Result<(), CaseError> + 'a;

/// One program in one configuration of its object.
pub struct Case<'a> {
    /// The configuration: `fentry`, `system-wide`. Cases with the same name that follow each other are of the same one: what the
    /// first of them opens may be loaded for all.
    pub name: String,
    /// The program's function.
    pub program: String,
    /// Opens the object in this configuration, and shows it while it lives; or says why it cannot, which becomes the reason of
    /// a skipped record.
    pub configure: std::rc::Rc<Open<'a>>,
}

impl fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).field("program", &self.program).finish_non_exhaustive()
    }
}

impl<'a> Case<'a> {
    /// A case for each program that is to be loaded once `configure` has seen the object in `bytes`.
    ///
    /// # Errors
    /// When the object cannot be opened, or `configure` fails.
    pub fn each(
        name: &str,
        bytes: &'a [u8],
        configure: impl Fn(&mut OpenObject) -> Result<(), CaseError> + 'a,
    ) -> Result<Vec<Self>, CaseError> {
        Self::skeletons(name, move |show| {
            let mut object = ObjectBuilder::default().name("measured")?.open_memory(bytes)?;
            configure(&mut object)?;
            show(&mut object);
            Ok(())
        })
    }

    /// A case for each program of the object in `bytes`, as it is.
    ///
    /// # Errors
    /// When the object cannot be opened.
    pub fn plain(bytes: &'a [u8]) -> Result<Vec<Self>, CaseError> {
        Self::each(DEFAULT_CASE, bytes, |_object| Ok(()))
    }

    /// A case for each program that is to be loaded in what `open` opens, configures and then shows: a skeleton's object,
    /// for example.
    ///
    /// ```no_run
    /// # use libbpf_rs::skel::{OpenSkel, SkelBuilder};
    /// # fn cases<'a, B: SkelBuilder<'a>>(builder: fn() -> B) {}
    /// use std::mem::MaybeUninit;
    /// use bpf_complexity::Case;
    ///
    /// # macro_rules! example { ($TracerSkelBuilder:ident) => {
    /// let cases = Case::skeletons("system-wide", |show| {
    ///     let mut place = MaybeUninit::uninit();
    ///     let mut open = TracerSkelBuilder::default().open(&mut place)?;
    ///     if let Some(rodata) = &mut open.maps.rodata_data {
    ///         rodata.system_wide = 1;
    ///     }
    ///     open.progs.tracer_fork.set_autoload(false);
    ///     show(open.open_object_mut());
    ///     Ok(())
    /// });
    /// # } }
    /// ```
    ///
    /// # Errors
    /// When `open` fails.
    pub fn skeletons(
        name: &str,
        open: impl Fn(&mut dyn FnMut(&mut OpenObject)) -> Result<(), CaseError> + 'a,
    ) -> Result<Vec<Self>, CaseError> {
        let mut programs = Vec::new();
        open(&mut |object| programs = autoloaded(object))?;
        let configure: std::rc::Rc<Open<'a>> = std::rc::Rc::new(open);
        let case = |program| Self { name: name.to_owned(), program, configure: std::rc::Rc::clone(&configure) };
        Ok(programs.into_iter().map(case).collect())
    }
}

/// The programs that are to be loaded.
fn autoloaded(object: &OpenObject) -> Vec<String> {
    let wanted = object.progs().filter(libbpf_rs::OpenProgram::autoload);
    wanted.map(|program| program.name().to_string_lossy().into_owned()).collect()
}

/// Says whether the program `name` is to be loaded; one that the object does not have is not.
pub fn set_autoload(object: &mut OpenObject, name: &str, autoload: bool) {
    for mut program in object.progs_mut().filter(|program| program.name() == OsStr::new(name)) {
        program.set_autoload(autoload);
    }
}
