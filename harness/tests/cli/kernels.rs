//! Kernels from elsewhere than the archive: files, servers, and source that is built here.

use std::fs;

use rstest::rstest;
use serde_json::Value;
use ukci::archive::Sha256;

use crate::fake_archive::{Answer, Deb, names_in};
use crate::running::Ended;
use crate::world::World;

const ROW: &str = "{name: \"6.18\", series: \"6.18\"}";

/// Runs the row `mine` with these keys.
#[track_caller]
fn run(world: &World, keys: &str) -> Ended {
    world.edit_matrix(ROW, &format!("{{name: mine, {keys}}}"));
    world.ukci(&["run", "--accel", "tcg", "--no-progress", "--llvm", "22", "--kernel", "mine"])
}

/// The kernel that the record of the run has.
fn recorded(world: &World) -> Value {
    world.record()["cells"][0]["kernel"].clone()
}

/// The smallest thing that says its release as an x86 image does.
fn image(release: &str) -> Vec<u8> {
    let mut image = vec![0; 0x300];
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x20e..0x210].copy_from_slice(&0x80_u16.to_le_bytes());
    image.extend_from_slice(&vec![0; 0x100]);
    let text = format!("{release} (ukci@ukci) #1\0");
    image[0x280..0x280 + text.len()].copy_from_slice(text.as_bytes());
    image
}

/// Check that a kernel in files boots, and where its release comes from: the row, the modules, the image, else its name.
#[rstest]
#[case::key(", release: 6.1.7-key, modules: lib/6.1.8-modules", "6.1.7-key")]
#[case::modules(", modules: lib/6.1.8-modules", "6.1.8-modules")]
#[case::image("", "6.1.9-image")]
#[case::name(", config: ukci.yaml", "mine")]
fn a_kernel_in_files(#[case] keys: &str, #[case] release: &str) {
    let world = World::new();
    let bytes = if release == "mine" { b"an image that says nothing".to_vec() } else { image("6.1.9-image") };
    fs::create_dir_all(world.project.join("out/lib/6.1.8-modules")).expect("a directory");
    fs::write(world.project.join("out/bzImage"), bytes).expect("written");
    let keys = keys.replace("lib/", "out/lib/");
    let ended = run(&world, &format!("path: {{image: out/bzImage{keys}}}"));
    ended.failed(3, &["VFS: no root"]);
    let kernel = recorded(&world);
    assert_eq!((&kernel["name"], &kernel["release"]), (&"mine".into(), &release.into()));
    assert_eq!((&kernel["package"], &kernel["version"]), (&Value::Null, &Value::Null));
}

/// Check that a file that is not there, and a release that is none, cost the cell and say why.
#[test]
fn a_kernel_in_files_that_is_none() {
    let world = World::new();
    run(&world, "path: {image: out/bzImage}")
        .failed(3, &["kernel `mine`: cannot read `", "out/bzImage`: No such file"]);
    let world = World::new();
    world.file("bzImage", "image");
    let ended = run(&world, "path: {image: bzImage, release: ../../etc}");
    ended.failed(3, &["kernel `mine`: the release `../../etc` is none; expected letters"]);
}

/// Check that a package, every kind of tar archive, and a bare image are fetched, once, and boot.
#[rstest]
#[case::deb("k.deb", "6.1.5-pack")]
#[case::tar("k.tar", "6.1.5-pack")]
#[case::gzip("k.tar.gz", "6.1.5-pack")]
#[case::xz("k.tar.xz", "6.1.5-pack")]
#[case::zstd("k.tar.zst", "6.1.5-pack")]
#[case::bare("bzImage", "6.1.9-image")]
fn a_kernel_on_a_server(#[case] file: &str, #[case] release: &str) {
    let world = World::new();
    let pack = Deb::new().directory("./boot", 0o755).file("./boot/vmlinuz-6.1.5-pack", 0o644, &image("x"));
    let body = match file.split_once('.').map(|(_, suffix)| suffix) {
        Some("deb") => pack.build(".xz"),
        Some(suffix) => pack.tar(suffix.trim_start_matches("tar")),
        None => image("6.1.9-image"),
    };
    let sha256 = Sha256::of(&body);
    world.archive.put(&format!("/elsewhere/{file}"), Answer::Body(body));
    let keys = format!("url: \"http://{}/elsewhere/{file}\", sha256: {sha256}", world.archive.address);
    run(&world, &keys).failed(3, &["VFS: no root"]);
    assert_eq!(recorded(&world)["release"], release);
    world.ukci(&["run", "--accel", "tcg", "--no-progress", "--kernel", "mine"]).failed(3, &["VFS: no root"]);
    let fetched = world.archive.requests().iter().filter(|path| path.contains("elsewhere")).count();
    assert_eq!(fetched, 1, "{:?}", world.archive.requests());
}

/// Check that a file with another hash is neither unpacked nor kept, and that an archive cannot write beside its directory.
#[test]
fn a_kernel_on_a_server_is_not_trusted() {
    let world = World::new();
    let url = |file: &str| format!("http://{}/elsewhere/{file}", world.archive.address);
    world.archive.put("/elsewhere/k.tar", Answer::Body(Deb::new().file("boot/vmlinuz-1", 0o644, b"i").tar("")));
    let expected = Sha256::of(b"something else");
    let ended = run(&world, &format!("url: \"{}\", sha256: {expected}", url("k.tar")));
    ended.failed(3, &["kernel `mine`:", "has the wrong content: expected SHA-256", &expected.to_string()]);
    let kept = fs::read_dir(world.archive.store_path().join("trees")).expect("the store").flatten();
    let kept: Vec<_> = kept.filter(|entry| entry.file_name().to_string_lossy().starts_with("unpacked")).collect();
    assert!(kept.is_empty(), "{kept:?}");

    let bomb = Deb::new().file("../../escaped", 0o644, b"i").tar(".gz");
    let sha256 = Sha256::of(&bomb);
    world.archive.put("/elsewhere/bomb.tar.gz", Answer::Body(bomb));
    world.matrix(crate::world::MATRIX);
    let ended = run(&world, &format!("url: \"{}\", sha256: {sha256}", url("bomb.tar.gz")));
    ended.failed(3, &["kernel `mine`: refused to unpack", "`../../escaped` has or links to a path with `..` in it"]);

    world.matrix(crate::world::MATRIX);
    let ended = run(&world, &format!("url: \"{}\", sha256: {sha256}", url("absent")));
    // The store has that content already, whatever its address was.
    ended.failed(3, &["kernel `mine`: refused to unpack"]);
}

/// A source tree whose make does what the kernel's does, and nothing more; `image` are the commands that make the image.
fn source(world: &World, image: &str) {
    for program in ["make", "gcc"] {
        world.program(program, &format!("exec /usr/bin/{program} \"$@\""));
    }
    for program in ["flex", "bison"] {
        world.program(program, "exit 1");
    }
    world.file("linux/Kconfig", "");
    world.file(
        "linux/Makefile",
        &format!(
            "export PATH := /usr/bin:/bin\n\
             tinyconfig:\n\techo CONFIG_TINY=y > $(O)/.config\n\
             olddefconfig:\n\tsed -i /CONFIG_UNKNOWN/d $(O)/.config\n\
             bzImage:\n\t@mkdir -p $(O)/arch/x86/boot $(O)/include/config\n\t@{image}\n\
             \techo 6.1.4-built > $(O)/include/config/kernel.release\n\
             modules:\n\ttrue\n\
             modules_install:\n\tmkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.1.4-built/kernel\n\
             \tln -s $(O) $(INSTALL_MOD_PATH)/lib/modules/6.1.4-built/build\n"
        ),
    );
    world.file("kconfig/base.config", "CONFIG_BASE=y\n");
    world.file("kconfig/base.x86_64.config", "CONFIG_PC=y\n");
    world.file("kconfig/base.riscv64.config", "CONFIG_UNKNOWN=y\n");
}

const SOURCE: &str = "source: {tree: linux, config: tinyconfig, fragments: [kconfig/base.config]}";

/// Check that source is built with its fragments, once for the same content, and again when a fragment changes.
#[test]
fn a_kernel_is_built_once() {
    let world = World::new();
    source(&world, "cp $(O)/.config $(O)/arch/x86/boot/bzImage; echo built >> ../builds");
    run(&world, SOURCE).failed(3, &["VFS: no root"]);
    assert_eq!(recorded(&world)["release"], "6.1.4-built");
    let again = ["run", "--accel", "tcg", "--no-progress", "--kernel", "mine"];
    world.ukci(&again).failed(3, &["VFS: no root"]);
    let builds = || fs::read_to_string(world.project.join("builds")).expect("what make wrote").lines().count();
    assert_eq!(builds(), 1);
    world.file("kconfig/base.config", "CONFIG_BASE=m\n");
    world.ukci(&again).failed(3, &["VFS: no root"]);
    assert_eq!(builds(), 2);
    let trees = fs::read_dir(world.archive.store_path().join("trees")).expect("the store").flatten();
    let kept = trees.map(|tree| tree.path()).filter(|tree| tree.join("release").exists());
    let mut kept: Vec<_> =
        kept.map(|tree| (fs::read_to_string(tree.join("config")).expect("a configuration"), names_in(&tree))).collect();
    kept.sort();
    let files = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        kept,
        [
            (
                "CONFIG_TINY=y\nCONFIG_BASE=m\n\nCONFIG_PC=y\n\n".to_owned(),
                files(&["config", "image", "modules", "release"])
            ),
            ("CONFIG_TINY=y\nCONFIG_BASE=y\n\nCONFIG_PC=y\n\n".to_owned(), files(&["config", "image", "release"])),
        ]
    );
}

/// Check that source is unpacked as it is, with or without a directory around it, from a file and from a server.
#[rstest]
#[case::in_a_directory("linux-6.1/", "tarball: linux.tar.xz")]
#[case::bare("", "tarball: linux.tar.xz")]
#[case::on_a_server("linux-6.1/", "url: \"http://ADDRESS/linux.tar.xz\", sha256: HASH")]
fn a_kernel_from_a_tar_archive(#[case] below: &str, #[case] keys: &str) {
    let world = World::new();
    source(&world, "test ! -L lib && cat lib/a usr/b > $(O)/arch/x86/boot/bzImage");
    let makefile = fs::read(world.project.join("linux/Makefile")).expect("a Makefile");
    let files = [("Makefile", &makefile[..]), ("Kconfig", b""), ("lib/a", b"one "), ("usr/b", b"two")];
    let tar = files.iter().fold(Deb::new(), |tar, (name, content)| tar.file(&format!("{below}{name}"), 0o644, content));
    let tar = tar.tar(".xz");
    let keys = keys.replace("ADDRESS", &world.archive.address).replace("HASH", &Sha256::of(&tar).to_string());
    fs::write(world.project.join("linux.tar.xz"), &tar).expect("written");
    world.archive.put("/linux.tar.xz", Answer::Body(tar));
    run(&world, &format!("source: {{{keys}, config: tinyconfig}}")).failed(3, &["VFS: no root"]);
    let trees = fs::read_dir(world.archive.store_path().join("trees")).expect("the store").flatten();
    let built = trees.map(|tree| tree.path()).find(|tree| tree.join("release").exists()).expect("a kernel");
    assert_eq!(fs::read_to_string(built.join("image")).expect("an image"), "one two");
}

/// Check that a build that fails costs the cells of its kernel, with the compiler's message and the log, and the rest runs.
#[test]
fn a_build_that_fails_costs_its_cells() {
    let world = World::new();
    source(&world, "echo 'init/main.c:7:1: error: no such thing' >&2; false");
    world.edit_matrix(ROW, &format!("{{name: mine, {SOURCE}}}"));
    let ended = world.ukci(&["run", "--accel", "tcg", "--no-progress", "--llvm", "22"]);
    ended.failed(3, &["kernel `mine`: `make bzImage` failed: init/main.c:7:1: error: no such thing"]);
    let record = world.record();
    let reason = |cell: usize| record["cells"][cell]["reason"].as_str().expect("a reason").to_owned();
    assert!(reason(0).contains("in boot"), "{record}");
    assert!(reason(1).contains("in provision"), "{record}");
    let text = record["cells"][1].to_string();
    assert!(text.contains("kernel-x86_64-mine-bzImage.log"), "{text}");
    let log = world.project.join("target/ukci/runs/latest/kernel-x86_64-mine-bzImage.log");
    assert!(fs::read_to_string(log).expect("a log").contains("no such thing"));
}

/// Check what is said when a kernel cannot even be tried to build.
#[test]
fn a_build_that_cannot_begin() {
    let world = World::new();
    world.file("linux/Makefile", "");
    world.file("kconfig/base.config", "");
    run(&world, SOURCE)
        .failed(3, &["building it needs `make`, `flex`, `bison`, `gcc`", "hint: install the packages make"]);

    let world = World::new();
    source(&world, "true");
    world.file("kconfig/base.config", "CONFIG_UNKNOWN=y\nCONFIG_PC=y\n");
    let ended = run(&world, SOURCE);
    ended.failed(3, &["kernel `mine`: its configuration does not take `CONFIG_UNKNOWN=y` hint: this version"]);

    let world = World::new();
    source(&world, "true");
    fs::remove_file(world.project.join("linux/Kconfig")).expect("removed");
    run(&world, SOURCE).failed(3, &["kernel `mine`: no `Makefile` and `Kconfig` of a kernel in `"]);

    let world = World::new();
    source(&world, "true");
    let ended = run(&world, "source: {tree: linux, config: tinyconfig, fragments: [kconfig/bose.config]}");
    ended
        .failed(3, &["kernel `mine`: cannot read `", "kconfig/bose.config`", "hint: paths are relative to the matrix"]);
}
