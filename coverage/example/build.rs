//! Compiles the BPF side with coverage, and without.
//!
//! A project of its own would leave out `coverage(true)`, and so build with coverage only where `BPF_COVERAGE=1` is set.

use std::env;
use std::path::PathBuf;

use bpf_coverage::Engine;
use bpf_coverage::build::SkeletonBuilder;

fn main() {
    println!("cargo:rerun-if-changed=src/bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut skeletons = ["probe", "refuses_counters", "refuses_both"].map(|name| (name, name, Engine::Clang)).to_vec();
    if cfg!(feature = "bpfcov") {
        skeletons.push(("probe", "probe_bpfcov", Engine::Bpfcov));
    }
    for (name, skeleton, engine) in skeletons {
        let built = SkeletonBuilder::new()
            .engine(engine)
            .source(format!("src/bpf/{name}.bpf.c"))
            .clang(&clang)
            .clang_args(["-std=gnu11", "-mcpu=v2", "-Wall", "-Wextra", "-Werror"])
            .coverage(true)
            .build_and_generate(out.join(format!("{skeleton}.skel.rs")));
        if let Err(error) = built {
            panic!("{error}\nhint: install clang, or set CLANG to a clang that has the bpf target");
        }
    }
}
