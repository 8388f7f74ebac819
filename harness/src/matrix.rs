//! What to run: the specification, its plan, what is expected of it, and the kernels that it is pinned to.
//!
//! Everything here is pure: text in, values out. `provision` and `run` do the work that these values describe.

mod arch;
mod expect;
mod lock;
mod plan;
mod spec;
mod text;

pub use arch::Arch;
pub use expect::{Expectation, Expectations};
pub use lock::{KernelLock, LockError, PinnedKernel, PinnedPackage, Series};
pub(crate) use plan::matcher;
pub use plan::{Cell, Filter, Job, Plan, PlanError};
pub use spec::{
    ArchSpec, ArchiveSpec, ExcludeSpec, GuestSpec, KernelOrigin, KernelSpec, LlvmSpec, MatrixSpec, PathSpec,
    ProjectSpec, SeriesSpec, SourceOrigin, SourceSpec, Tests, UrlSpec,
};
pub use text::SpecError;
