//! What becomes of a run when QEMU, the guest, the kernel or the compiler fails.

use std::fs;

use crate::fake_archive::{Deb, FakePackage, Suite};
use crate::world::{FAULT, KERNELS, World, read_json};

const RUN: [&str; 5] = ["run", "--accel", "tcg", "--no-progress", "--jobs=2"];

/// Check that a guest that is never ready is given up at the matrix's deadline, and that this is the loss of its cells.
#[test]
fn a_guest_that_is_never_ready_is_lost() {
    let mut world = World::new();
    world.env.insert(FAULT.into(), "silent".into());
    world.edit_matrix("boot_timeout: 60s", "boot_timeout: 1s");
    let ended = world.ukci(&[&RUN[..], &["--kernel", "6.12", "--out", "out"]].concat());
    ended.failed(3, &["retry", "timeout", "x86_64/6.12/llvm22", "the guest's init to be ready"]);
    assert!(ended.stdout.contains("waited 1 s for the guest's init to be ready"), "{ended}");
    let record = read_json(&world.project.join("out/run.json"));
    assert_eq!(record["cells"].as_array().expect("cells").len(), 2);
    for cell in record["cells"].as_array().expect("cells") {
        assert_eq!(cell["verdict"], "timeout", "{cell}");
        assert_eq!(cell["kernel"]["release"], "6.12.9+deb13-cloud-amd64");
        assert_eq!(cell["attempts"].as_array().expect("attempts").len(), 2, "a boot is tried twice");
    }
    // The record is what a report is made of.
    let again = world.ukci(&["report", "out"]);
    assert_eq!((again.code, again.stdout), (Some(0), ended.stdout));
}

/// Check that a run leaves its page with the logs of what went wrong, and that the page is made again on demand: beside
/// the record, from where its links lead to the logs, or elsewhere, from where they would not.
#[test]
fn a_run_leaves_its_page() {
    let world = World::new();
    world.ukci(&[&RUN[..], &["--kernel", "6.12", "--out", "out"]].concat()).failed(3, &["VFS: no root"]);
    let page = world.project.join("out/report.html");
    let text = fs::read_to_string(&page).expect("a page");
    let link = "<a href=\"./cells/x86_64/6.12/attempt1/console.log\">";
    assert!(text.contains("VFS: no root") && text.contains(link), "{text}");
    assert!(text.contains("<td id=\"cell0\" class=\"lost\">") && text.contains("<td id=\"cell1\" class=\"lost\">"));
    fs::remove_file(&page).expect("removed");
    assert_eq!(world.ukci(&["report", "--html", "out"]).succeeded(), "out/report.html\n");
    // Not to the letter: the record rounds times.
    let again = fs::read_to_string(&page).expect("a page");
    assert!(again.contains("VFS: no root") && again.contains(link), "{again}");
    assert_eq!(world.ukci(&["report", "--html", "out", "-o", "page.html"]).succeeded(), "page.html\n");
    let elsewhere = fs::read_to_string(world.project.join("page.html")).expect("a page");
    assert!(elsewhere.contains("VFS: no root") && !elsewhere.contains(link));
    world.ukci(&["report", "out", "-o", "page.html"]).one_error(2, &["required arguments were not provided", "--html"]);
    world.ukci(&["report", "--html", "out", "-o", "gone/page.html"]).one_error(1, &["cannot write `gone/page.html`"]);
}

/// Check that what a dying QEMU said is shown, and that other kernels' cells are tried nevertheless.
#[test]
fn what_a_dying_qemu_said_is_shown() {
    let world = World::new();
    world.program(
        "qemu-system-x86_64",
        "case $1 in --version) echo 'QEMU emulator version 10.0.0';; -help) ;; *) echo 'no such machine' >&2; exit 3;; esac",
    );
    let ended = world.ukci(&RUN);
    ended.failed(3, &["x86_64/6.12/llvm22", "x86_64/6.18/llvm21", "while QEMU started"]);
    for part in ["exit status: 3", "all 4 cells"] {
        assert!(ended.stdout.contains(part), "no `{part}` in\n{ended}");
    }
    let latest = world.project.join("target/ukci/runs/latest");
    let log = fs::read_to_string(latest.join("cells/x86_64/6.18/attempt2/qemu.log")).expect("a log");
    assert_eq!(log, "no such machine\n");
    assert!(fs::read_to_string(latest.join("junit.xml")).expect("a report").contains("x86_64/6.18/llvm21"));
}

/// Check that what the guest's init could not do is told, and that the guest is not waited for.
#[test]
fn what_init_could_not_do_is_told() {
    let mut world = World::new();
    world.env.insert(FAULT.into(), "init".into());
    let ended = world.ukci(&[&RUN[..], &["--kernel", "6.18"]].concat());
    ended.failed(3, &["in boot", "cannot find the virtio port"]);
}

/// Check that a panic is named by its title, as the loss of the cell and not as a failed test.
#[test]
fn a_panic_is_a_loss() {
    let world = World::new();
    let ended = world.ukci(&[&RUN[..], &["--kernel", "6.18", "--llvm", "22"]].concat());
    ended.failed(3, &["VFS: no root"]);
    assert!(world.record()["cells"][0]["reason"].as_str().expect("a reason").contains("VFS: no root"));
}

/// Check that a machine without QEMU, and an archive without it, are one error that names the package.
#[test]
fn a_missing_qemu_is_one_error() {
    let world = World::new();
    fs::remove_file(world.bin.join("qemu-system-x86_64")).expect("removed");
    world.ukci(&RUN).one_error(1, &["cannot fetch QEMU: ", "qemu-system-x86", "trixie"]);
}

/// Check that a kernel without the drivers that the guest needs is lost, by its name, and no other kernel with it.
#[test]
fn a_kernel_without_drivers_is_lost() {
    let world = World::new();
    let release = "6.12.10+deb13-cloud-amd64";
    let modules = format!("./usr/lib/modules/{release}");
    let deb = Deb::new()
        .file(&format!("./boot/vmlinuz-{release}"), 0o644, &vec![7; 1 << 20])
        .directory(&format!("{modules}/kernel"), 0o755)
        .file(&format!("{modules}/modules.builtin"), 0o644, b"kernel/drivers/virtio/virtio_pci.ko\n")
        .build("");
    let [_, _, kernels] = crate::world::suites();
    let bare = FakePackage::new(&format!("linux-image-{release}"), "6.12.10-1").deb(deb);
    world.archive.publish(&Suite::new(KERNELS, &[kernels.packages, vec![bare]].concat()));
    let ended = world.ukci(&RUN);
    ended.failed(3, &["x86_64/6.12/llvm22", "VFS: no root", "lacks `virtio_console`", "hint: the guest talks to"]);
    let record = world.record();
    assert_eq!(record["cells"][0]["attempts"][0]["phases"][0]["name"], "provision");
    assert!(record["cells"][2]["reason"].as_str().expect("a reason").contains("in boot"), "{record}");
}

/// Check that a project that does not compile has failed, and that the compiler's words are shown.
#[test]
fn a_project_that_does_not_compile_has_failed() {
    let world = World::new();
    world.program("cargo", "echo 'error[E0425]: cannot find value `x`' >&2; exit 101");
    let ended = world.ukci(&RUN);
    ended.failed(4, &["cannot compile the tests of `demo`: error[E0425]"]);
    assert!(ended.stdout.contains("cannot compile the tests of `demo`"), "{ended}");
    let cell = &world.record()["cells"][0];
    assert_eq!(cell["verdict"], "fail");
    fs::remove_file(world.bin.join("cargo")).expect("removed");
    let ended = world.ukci(&RUN);
    ended.failed(3, &["cannot run `cargo`"]);
}

/// Check that an architecture without a toolchain leaves its cells not run, with the reason, and that the others run.
#[test]
fn cells_without_a_cross_toolchain_are_not_run() {
    let world = World::new();
    world.edit_matrix("arches:\n", "arches:\n  riscv64: {}\n");
    let ended = world.ukci(&RUN);
    ended.failed(3, &["no cross toolchain for riscv64: no LLVM 21 in the suite `trixie`"]);
    let record = world.record();
    let cells = record["cells"].as_array().expect("cells");
    let verdicts = |arch: &str| -> Vec<&str> {
        let of_arch = cells.iter().filter(|cell| cell["arch"] == arch);
        of_arch.map(|cell| cell["verdict"].as_str().expect("a verdict")).collect()
    };
    assert_eq!(verdicts("riscv64"), ["not_run"; 4], "{record}");
    assert_eq!(verdicts("x86_64"), ["lost"; 4], "every guest of this world panics: {record}");
    let reason = cells.iter().find(|cell| cell["arch"] == "riscv64").expect("a cell")["reason"].as_str();
    assert!(reason.is_some_and(|reason| reason.contains("no cross toolchain for riscv64")), "{record}");
}

/// Check that an LLVM that cannot compile the project fails its own cells, and that the others run.
#[test]
fn an_llvm_that_does_not_compile_fails_its_own_cells() {
    let world = World::new();
    let cargo = fs::read_to_string(world.bin.join("cargo")).expect("a script");
    let body = cargo.split_once('\n').expect("two lines").1;
    let fails = "echo 'error: no such builtin' >&2; exit 101";
    world.program("cargo", &format!("case $($CLANG --version) in *21.1*) {fails};; esac\n{body}"));
    let ended = world.ukci(&RUN);
    ended.failed(4, &["x86_64/6.12/llvm21", "in build: cannot compile the tests of `demo`: error: no such builtin"]);
    let record = world.record();
    let cells = record["cells"].as_array().expect("cells");
    let verdicts: Vec<_> = cells.iter().map(|cell| (cell["llvm"].as_u64(), cell["verdict"].as_str())).collect();
    let (lost, failed) = ((Some(22), Some("lost")), (Some(21), Some("fail")));
    assert_eq!(verdicts, [lost, failed, lost, failed], "{record}");
}

/// Check that two runs at once, of one project and one store, both come to their end in directories of their own.
#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let world = World::new();
    let args = |out| [&RUN[..], &["--out", out]].concat();
    let (one, other) = (world.start(&args("one")), world.start(&args("other")));
    for (ended, out) in [(one.end(), "one"), (other.end(), "other")] {
        ended.failed(3, &["VFS: no root"]);
        let record = read_json(&world.project.join(out).join("run.json"));
        assert!(record["finished"].is_string(), "{record}");
        for cell in record["cells"].as_array().expect("cells") {
            assert!(cell["reason"].as_str().expect("a reason").contains("VFS: no root"), "{cell}");
        }
    }
    world.nothing_is_left();
    // Whatever both needed was fetched once.
    let mut requests = world.archive.requests();
    requests.retain(|path| path.ends_with(".deb"));
    let count = requests.len();
    requests.sort();
    requests.dedup();
    assert_eq!(requests.len(), count, "{requests:?}");
}
