//! Compiles `src/bpf/tracer.bpf.c` and generates its skeleton, from which the Rust side also takes the record types.
//!
//! Environment: `CLANG` names the compiler of the BPF side (default `clang`; it may be a wrapper script).
//! `BPF_COVERAGE=1` adds instrumented objects, and `BPF_COVERAGE_OBJECTS` names the directory for those that llvm-cov
//! needs: see `bpf_coverage`.
//!
//! libelf and zlib come from the system (libelf-dev, zlib1g-dev), or, without root, from a directory D that holds
//! `libelf.a` and `libz.a` and nothing else, so that this build script links them statically too:
//! `LIBBPF_SYS_LIBRARY_PATH=D` (or `LIBBPF_SYS_LIBRARY_PATH_<target>` for each of host and target when they differ) and
//! `LIBBPF_SYS_EXTRA_CFLAGS=-I…` for their headers.

use std::env;
use std::path::PathBuf;

use bpf_coverage::build::SkeletonBuilder;

fn main() {
    println!("cargo:rerun-if-changed=src/bpf");
    println!("cargo:rerun-if-env-changed=CLANG");

    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // v2 is what every JIT of 5.10 knows: v3 brings 32-bit jumps, which cost its verifier precision.
    let args = ["-std=gnu11", "-mcpu=v2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"];
    let built = SkeletonBuilder::new()
        .source("src/bpf/tracer.bpf.c")
        .clang(&clang)
        .clang_args(args)
        .build_and_generate(out.join("tracer.skel.rs"));
    if let Err(err) = built {
        println!("cargo:warning=the BPF side was not built with `{}`", clang.display());
        panic!("{err}\nhint: install clang, or set CLANG to a clang that has the bpf target");
    }
}
