//! How long a guest may take: [`Deadlines`].

use std::time::Duration;

use crate::matrix::Arch;
use crate::vm::machine::Accel;

/// How long each stage of a guest's life may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From QEMU's exec to its answer.
    pub start: Duration,
    /// From there to init's `ready`.
    pub boot: Duration,
    /// From there to an authenticated session.
    pub connect: Duration,
    /// For each way to end the guest, from the politest on.
    pub power_off: Duration,
}

impl Deadlines {
    /// Deadlines that a healthy guest keeps even on a busy machine: some 20 times what it takes on an idle one.
    #[must_use]
    pub fn of(arch: Arch, accel: Accel) -> Self {
        let [boot, connect, power_off] = match (accel, arch) {
            (Accel::Kvm, _) => [30, 20, 10],
            (Accel::Tcg, Arch::X86_64) => [90, 30, 20],
            (Accel::Tcg, Arch::Aarch64 | Arch::Riscv64) => [120, 45, 30],
        };
        let seconds = Duration::from_secs;
        Self { start: seconds(30), boot: seconds(boot), connect: seconds(connect), power_off: seconds(power_off) }
    }
}
