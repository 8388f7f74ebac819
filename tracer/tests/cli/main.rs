//! The command line, run as `tracer` would: by this executable again. Without root, with the ptrace backend.

mod common;
mod ends;
mod files;
mod log;
mod root;
mod words;
