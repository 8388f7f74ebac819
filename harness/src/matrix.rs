//! What to run: the specification, its plan, what is expected of it, and the kernels that it is pinned to.
//!
//! Everything here is pure: text in, values out. `provision` and `run` do the work that these values describe.

mod arch;
mod capabilities;
mod expect;
mod lock;
mod plan;
mod shard;
mod spec;
mod text;
mod times;

pub use arch::Arch;
pub use capabilities::{Capabilities, ExpectedCapability};
pub use expect::{Expectation, Expectations};
pub use lock::{KernelLock, LockError, PinnedKernel, PinnedPackage, Series};
pub(crate) use plan::matcher;
pub use plan::{Cell, Filter, Job, Plan, PlanError, fingerprint};
pub use shard::Shard;
pub use spec::{
    ArchSpec, ArchiveSpec, CoverageSpec, GuestSpec, KernelOrigin, KernelSpec, LlvmChoice, LlvmSpec, MatrixSpec,
    PathSpec, ProjectSpec, RuleSpec, SeriesSpec, SetSpec, SourceOrigin, SourceSpec, Tests, UrlSpec,
};
pub use text::SpecError;
pub(crate) use text::{error_at, parse as parse_yaml};
pub use times::ExpectedTimes;
