//! What compiles user space for one architecture: [`Userland`] has Rust's standard library, static libelf and zlib, and for a
//! foreign architecture a C compiler that links.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::llvm::Llvm;
use super::program::{self, Origin};
use super::rust::Rust;
use super::{ToolchainError, in_background};
use crate::archive::{Archive, Key, Store, StoreError};
use crate::matrix::{Arch, MatrixSpec};

/// The tools and libraries for executables of one architecture.
#[derive(Clone, Debug)]
pub struct Userland {
    /// The architecture.
    pub arch: Arch,
    /// The Rust compiler and where its standard library came from.
    pub rust: Rust,
    /// The unpacked tree with the headers of libelf and zlib for this machine.
    pub headers: PathBuf,
    /// A directory with the static libelf and zlib of this machine and nothing else, so that the linker has no choice.
    pub host_libraries: PathBuf,
    /// What a foreign architecture needs besides.
    pub cross: Option<Cross>,
}

/// A C compiler for another architecture than this machine's.
#[derive(Clone, Debug)]
pub struct Cross {
    /// A script that compiles and links.
    pub compiler: PathBuf,
    /// The static libelf and zlib of that architecture.
    pub libraries: PathBuf,
}

impl Userland {
    /// Finds or fetches what compiles executables for `arch` of the project in `root`.
    ///
    /// # Errors
    /// When a part of it can neither be found nor fetched.
    pub async fn provide(
        archive: &Arc<Archive>,
        spec: &MatrixSpec,
        root: &Path,
        arch: Arch,
    ) -> Result<Self, ToolchainError> {
        let host = Arch::host().unwrap_or(Arch::X86_64);
        let rust = Rust::provide(archive, spec, root, arch).await?;
        // libc and its headers are the machine's own.
        let headers = sysroot(archive, spec, host, &["libelf-dev".into()]).await?;
        let host_libraries = static_libraries(archive.store(), &headers, host)?;
        let cross = match arch == host {
            true => None,
            false => Some(Cross::provide(archive, spec, arch).await?),
        };
        Ok(Self { arch, rust, headers, host_libraries, cross })
    }

    /// The environment in which user space compiles, be it for a guest or for this machine.
    #[must_use]
    pub fn env(&self) -> Vec<(OsString, OsString)> {
        let Self { rust, headers, host_libraries, cross, arch } = self;
        let host = Arch::host().unwrap_or(Arch::X86_64);
        let include = headers.join("usr/include").display().to_string();
        let libraries = |arch: Arch| format!("LIBBPF_SYS_LIBRARY_PATH_{}", arch.rust_target().replace('-', "_"));
        let mut env: Vec<(OsString, OsString)> = vec![
            (libraries(host).into(), host_libraries.clone().into()),
            // zlib's header includes another one, which differs between architectures only where nobody looks.
            ("LIBBPF_SYS_EXTRA_CFLAGS".into(), format!("-I{include} -I{include}/{}", host.multiarch()).into()),
        ];
        if let Some(cross) = cross {
            let target = arch.rust_target().replace('-', "_");
            env.push((libraries(*arch).into(), cross.libraries.clone().into()));
            env.push((format!("CARGO_TARGET_{}_LINKER", target.to_uppercase()).into(), cross.compiler.clone().into()));
            env.push((format!("CC_{target}").into(), cross.compiler.clone().into()));
        }
        if rust.origin == Origin::Archive {
            env.push(("RUSTC".into(), rust.rustc.clone().into()));
        }
        if program::on_path("pkg-config").is_none() {
            // libbpf-sys wants to be able to start it, and needs nothing that it says.
            env.push(("PKG_CONFIG".into(), "false".into()));
        }
        env
    }

    /// The variable that makes cargo link executables of the guest's target statically, so that the guest needs no
    /// libraries, and without the debug information, which is most of them: every VM unpacks it. It must not reach what
    /// runs on this machine: compilers' plugins cannot be static.
    #[must_use]
    pub fn static_env(&self) -> (OsString, OsString) {
        let target = self.arch.rust_target().replace('-', "_").to_uppercase();
        (format!("CARGO_TARGET_{target}_RUSTFLAGS").into(), "-C target-feature=+crt-static -C strip=debuginfo".into())
    }
}

impl Cross {
    async fn provide(archive: &Arc<Archive>, spec: &MatrixSpec, arch: Arch) -> Result<Self, ToolchainError> {
        // The oldest release of the matrix, whichever are asked for today: with another, cargo would compile all C anew.
        let llvm = spec.llvm_versions().last().copied().unwrap_or_default();
        let tools = Llvm::fetch(archive, llvm, spec.llvm_suite(llvm)).await?;
        let gcc = in_background({
            let (archive, suite) = (Arc::clone(archive), spec.sysroot_suite(arch).to_owned());
            move || newest_libgcc(&archive, &suite, arch)
        })
        .await?;
        let sysroot = sysroot(archive, spec, arch, &["libelf-dev".into(), "libc6-dev".into(), gcc]).await?;
        let libraries = static_libraries(archive.store(), &sysroot, arch)?;
        Ok(Self { compiler: tools.cross_compiler(archive.store(), arch, &sysroot)?, libraries })
    }
}

/// The package with the newest gcc's start files and runtime, which clang links with.
fn newest_libgcc(archive: &Archive, suite: &str, arch: Arch) -> Result<String, ToolchainError> {
    let failed = |source| ToolchainError::Archive { what: format!("a C library for {arch}"), source };
    let index = archive.index(suite, arch).map_err(failed)?;
    let release = |name: &str| name.strip_prefix("libgcc-")?.strip_suffix("-dev")?.parse::<u32>().ok();
    let newest = index.names("libgcc-").into_iter().filter_map(release).max();
    let newest = newest.ok_or_else(|| ToolchainError::NoLibgcc { suite: suite.to_owned(), arch })?;
    Ok(format!("libgcc-{newest}-dev"))
}

/// The unpacked development packages `roots` for `arch`, without what is no library to link statically.
async fn sysroot(
    archive: &Arc<Archive>,
    spec: &MatrixSpec,
    arch: Arch,
    roots: &[String],
) -> Result<PathBuf, ToolchainError> {
    let mut without = vec!["libc6", "libc-dev-bin", "libnsl-dev", "libtirpc-dev", "rpcsvc-proto", "libcrypt-dev"];
    without.extend(["libgcc-s1", "libgomp1", "libitm1", "libatomic1"]);
    without.extend(["libasan8", "libhwasan0", "liblsan0", "libtsan2", "libubsan1"]);
    if !roots.iter().any(|root| root == "libc6-dev") {
        without.push("libc6-dev");
    }
    let result = in_background({
        let (archive, suite, roots) = (Arc::clone(archive), spec.sysroot_suite(arch).to_owned(), roots.to_vec());
        move || {
            let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
            archive.closure_tree(&[&suite], arch, &roots, &without)
        }
    });
    let (_, tree) = result
        .await
        .map_err(|source| ToolchainError::Archive { what: format!("static libelf and zlib for {arch}"), source })?;
    Ok(tree)
}

/// Links to the static libraries of `sysroot`.
fn static_libraries(store: &Store, sysroot: &Path, arch: Arch) -> Result<PathBuf, StoreError> {
    let from = sysroot.join("usr/lib").join(arch.multiarch());
    let key = Key::new("static-libraries-3", [from.display().to_string()]);
    store.derive(&key, &format!("static libelf and zlib for {arch}"), |directory| {
        let zlib = directory.join("libz.a");
        std::os::unix::fs::symlink(from.join("libz.a"), &zlib).map_err(StoreError::at("link", &zlib))?;
        let libelf = directory.join("libelf.a");
        let zstd = from.join("libzstd.a");
        if !zstd.is_file() {
            return std::os::unix::fs::symlink(from.join("libelf.a"), &libelf).map_err(StoreError::at("link", &libelf));
        }
        // Newer libelf calls zstd, which who links with libelf does not know: a linker script names all. zlib comes first,
        // because libelf has a `crc32` too (elfutils 0.193), and two are one too many.
        let all = ["libz.a", "libelf.a", "libzstd.a"].map(|library| from.join(library).display().to_string());
        fs::write(&libelf, format!("GROUP ( {} )\n", all.join(" "))).map_err(StoreError::at("write", &libelf))
    })
}
