//! What to run: the specification, its plan, what is expected of it, and the kernels that it is pinned to. Pure: no I/O.

mod arch;

pub use arch::Arch;
