//! The ptrace backend, with and without a seccomp filter, on real processes. Programs that do something particular are
//! this executable again: see `program`.

mod common;
mod events;
mod failures;
mod lifetime;
mod limits;
mod program;
mod signals;
mod start;
mod threads;
mod user;
