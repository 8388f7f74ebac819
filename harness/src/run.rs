//! Turns inputs into outcomes: schedules the VMs, executes the tests, records what happened, sends events.

pub mod event;
pub mod outcome;
