//! Compiles with instrumentation: [`Compiler`].

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::BuildError;
use crate::{LIBBPF_HEADERS, Mode};

/// The first clang whose single-byte counters cover BPF programs.
const SINGLE_BYTE_SINCE: u32 = 19;

/// clang with the arguments that all variants have in common.
pub(super) struct Compiler {
    clang: PathBuf,
    version: u32,
    args: Vec<OsString>,
}

impl Compiler {
    /// Writes libbpf's headers below `directory`, and sets the arguments up.
    pub(super) fn new(
        clang: &Path,
        clang_args: &[OsString],
        repository: &Path,
        directory: &Path,
    ) -> Result<Self, BuildError> {
        let headers = directory.join("include");
        write_headers(&headers.join("bpf"))?;
        let mut args = clang_args.to_vec();
        args.extend(["-I".into(), headers.clone().into(), "-fno-stack-protector".into()]);
        if !clang_args.iter().any(|arg| arg.to_string_lossy().contains("__TARGET_ARCH_")) {
            args.push(format!("-D__TARGET_ARCH_{}", target_arch()).into());
        }
        args.extend(["-g", "-O2", "-fprofile-instr-generate", "-fcoverage-mapping"].map(OsString::from));
        // Only the Linux variant of the target does not ask for LLVM's run-time library, whichever release it is.
        args.extend(["-target", "bpfel-unknown-linux"].map(OsString::from));
        args.extend(path_args(repository, &headers)?);
        let mut compiler = Self { clang: clang.to_owned(), version: 0, args };
        compiler.version = compiler.find_version()?;
        Ok(compiler)
    }

    /// The modes that this clang has, most informative first.
    pub(super) fn modes(&self) -> impl Iterator<Item = Mode> {
        let has_single_byte = self.version >= SINGLE_BYTE_SINCE;
        [Mode::Counters, Mode::SingleByte].into_iter().filter(move |mode| *mode == Mode::Counters || has_single_byte)
    }

    /// The compiler.
    #[cfg(feature = "bpfcov")]
    pub(super) fn clang(&self) -> &Path {
        &self.clang
    }

    /// All arguments but the files.
    pub(super) fn args(&self, mode: Mode) -> impl Iterator<Item = OsString> {
        let of_mode: &[&str] = match mode {
            Mode::Counters => &["-D__BPF_COVERAGE__=1"],
            Mode::SingleByte => &["-D__BPF_COVERAGE__=2", "-mllvm", "-enable-single-byte-coverage=true"],
        };
        self.args.iter().cloned().chain(of_mode.iter().map(OsString::from))
    }

    /// Compiles `source` to `object`.
    pub(super) fn compile(&self, source: &Path, mode: Mode, object: &Path) -> Result<(), BuildError> {
        let mut command = Command::new(&self.clang);
        command.args(self.args(mode));
        command.arg("-c").arg(source).arg("-o").arg(object);
        let Output { status, stderr, .. } =
            command.output().map_err(BuildError::file("run the compiler", &self.clang))?;
        if status.success() {
            return Ok(());
        }
        Err(BuildError::Clang {
            clang: self.clang.clone(),
            source_path: source.to_owned(),
            status: status.to_string(),
            message: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    fn find_version(&self) -> Result<u32, BuildError> {
        let mut command = Command::new(&self.clang);
        command.args(["-E", "-dM", "-x", "c", "/dev/null"]);
        let output = command.output().map_err(BuildError::file("run the compiler", &self.clang))?;
        let defined = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = defined.lines().find_map(|line| line.strip_prefix("#define __clang_major__ "));
        major.and_then(|major| major.trim().parse().ok()).ok_or_else(|| BuildError::Clang {
            clang: self.clang.clone(),
            source_path: "/dev/null".into(),
            status: output.status.to_string(),
            message: "it does not define __clang_major__".into(),
        })
    }
}

/// Arguments that make the paths in the coverage mapping those of git.
fn path_args(repository: &Path, headers: &Path) -> Result<[OsString; 3], BuildError> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(BuildError::file("find", path));
    let repository = absolute(repository)?;
    let here = env::current_dir().map_err(BuildError::file("find", Path::new(".")))?;
    let here = match here.strip_prefix(&repository) {
        Ok(relative) if relative.as_os_str().is_empty() => Path::new(".").to_owned(),
        Ok(relative) => relative.to_owned(),
        Err(_) => here,
    };
    let joined = |parts: [&std::ffi::OsStr; 4]| parts.into_iter().collect::<OsString>();
    Ok([
        joined(["-fcoverage-prefix-map=".as_ref(), repository.as_os_str(), "/".as_ref(), "=".as_ref()]),
        // Behind the repository's, because the last one that fits counts, and the headers may be below it.
        joined([
            "-fcoverage-prefix-map=".as_ref(),
            absolute(headers)?.as_os_str(),
            "=".as_ref(),
            LIBBPF_HEADERS.as_ref(),
        ]),
        joined(["-fcoverage-compilation-dir=".as_ref(), here.as_os_str(), "".as_ref(), "".as_ref()]),
    ])
}

fn write_headers(directory: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(directory).map_err(BuildError::file("make the directory", directory))?;
    for (name, contents) in libbpf_sys::API_HEADERS {
        let path = directory.join(name);
        fs::write(&path, contents).map_err(BuildError::file("write", &path))?;
    }
    Ok(())
}

/// The target's name in libbpf's headers.
fn target_arch() -> String {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_else(|_| env::consts::ARCH.to_owned());
    match arch.as_str() {
        "x86_64" => "x86".into(),
        "aarch64" => "arm64".into(),
        "riscv64" => "riscv".into(),
        "powerpc64" => "powerpc".into(),
        "loongarch64" => "loongarch".into(),
        _ => arch,
    }
}
