//! The `ukci` command.
fn main() {}
