//! `ukci` as a user drives it: the real binary in a world of fakes, where every fault is one clear error with the right exit
//! code, and nothing is left behind.
#![cfg(target_arch = "x86_64")] // The fake archive has packages for no other machine.

#[path = "common/essence.rs"]
mod essence;
#[path = "common/fake_archive.rs"]
mod fake_archive;
#[path = "cli/complexity.rs"]
mod complexity;
#[path = "cli/guest.rs"]
mod guest;
#[path = "cli/kernels.rs"]
mod kernels;
#[path = "cli/merge.rs"]
mod merge;
#[path = "cli/mirror.rs"]
mod mirror;
#[path = "cli/plan.rs"]
mod plan;
#[path = "cli/player.rs"]
mod player;
#[path = "cli/resume.rs"]
mod resume;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/signal.rs"]
mod signal;
#[path = "cli/store.rs"]
mod store;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/world.rs"]
mod world;
