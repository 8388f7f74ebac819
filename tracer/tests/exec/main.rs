//! Root-only tests, and those of the command line. One executable, which a guest gets and nothing else: the target of
//! most execs is this executable itself, with `--list` as its first argument. It prints its tests and ends, whatever
//! else the arguments say.

mod cli;
mod common;
mod event;
mod loss;
mod scope;
