//! Orders, for matrices that are made up.

use super::*;
use crate::matrix::{Filter, MatrixSpec, Plan};

fn jobs() -> Vec<Job> {
    let text = "\
project: {directory: .., package: tracer}
archive: {kernels: [one], tools: one, sysroot: one}
arches: {x86_64: {}, riscv64: {}}
kernels:
  - {name: '5.10', series: '5.10', arches: [x86_64]}
  - {name: '6.1', series: '6.1', arches: [x86_64]}
  - {name: '6.12', series: '6.12'}
llvm: [{version: 21}, {version: 22}]
exclude:
  - {kernel: '5.10', llvm: 22, reason: known bad}
";
    let spec = MatrixSpec::parse(std::path::Path::new("m.yaml"), text).unwrap();
    let plan = Plan::expand(&spec, &Filter::default()).unwrap();
    plan.jobs().to_vec()
}

fn ids(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

#[test]
fn those_that_take_longest_go_first_within_the_architecture_with_the_most_work() {
    let schedule = Schedule::new(Slots::for_vms(1), History::default());
    let mut all = jobs();
    all.rotate_right(1);
    assert_eq!(ids(&all), ["riscv64/6.12", "x86_64/5.10", "x86_64/6.1", "x86_64/6.12"]);
    // 5.10 has one bundle, the others two.
    assert_eq!(ids(&schedule.in_order(&all)), ["x86_64/6.1", "x86_64/6.12", "x86_64/5.10", "riscv64/6.12"]);
    let (x86, riscv) = (Arch::X86_64, Arch::Riscv64);
    let plain =
        |keys: &[(Arch, u32)]| keys.iter().map(|(arch, llvm)| (*arch, *llvm, Variant::Plain)).collect::<Vec<_>>();
    assert_eq!(schedule.bundles(&all, None), plain(&[(x86, 22), (x86, 21), (riscv, 22), (riscv, 21)]));
    assert_eq!(schedule.bundles(&all[..2], None), plain(&[(riscv, 22), (riscv, 21), (x86, 21)]));
    assert!(schedule.bundles(&[], None).is_empty());
}

/// Check that each VM's newest release has a bundle for coverage, which is built after those that are judged.
#[test]
fn what_is_for_coverage_is_built_last() {
    let schedule = Schedule::new(Slots::for_vms(1), History::default());
    let keys = schedule.bundles(&jobs()[..2], Some(&CoverageSpec::default()));
    let keys: Vec<_> = keys.into_iter().map(|(_, llvm, variant)| (llvm, variant)).collect();
    let (plain, coverage) = (Variant::Plain, Variant::Coverage);
    // 5.10 has 21 alone.
    assert_eq!(keys, [(22, plain), (21, plain), (22, coverage), (21, coverage)]);
}

#[test]
fn a_vm_needs_more_memory_than_its_guest_has() {
    let schedule = Schedule::new(Slots::on(4, || None), History::default());
    let need = schedule.need(&jobs()[0], 2, 512);
    assert_eq!((need.processors, need.memory_kib), (2, 640 * 1024));
    assert!(need.seconds > 0.0);
}
