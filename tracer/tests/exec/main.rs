//! Root-only tests, and those of the command line. One executable, which a guest gets and nothing else: besides it, the
//! tests run a shell and `true`.

mod common;
mod event;
mod loss;
mod scope;
