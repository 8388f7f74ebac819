//! Builds a kernel from source with plain make: [`build`]. What was built is kept in the store, named by everything that it
//! was made from, so the second run does not build.

mod error;
mod inputs;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::error::BuildError;
use self::inputs::{Config, Source};
use super::{Kernel, KernelError, elsewhere};
use crate::archive::deb::{self, Limits, Merge};
use crate::archive::{Archive, ArchiveError, Key, Sha256, Store, StoreError};
use crate::matrix::{Arch, SourceSpec};
use crate::process::Command;
use crate::project::Project;
use crate::provision::{in_background, program};

/// Changes whenever the same inputs become another kernel.
const FORMAT: &str = "1";

/// A large configuration takes an hour on two processors.
const DEADLINE: Duration = Duration::from_secs(4 * 60 * 60);

/// What the kernel's make wants to know about an architecture.
struct Target {
    arch: &'static str,
    image: &'static str,
}

const fn target(arch: Arch) -> Target {
    match arch {
        Arch::X86_64 => Target { arch: "x86_64", image: "bzImage" },
        Arch::Aarch64 => Target { arch: "arm64", image: "Image" },
        Arch::Riscv64 => Target { arch: "riscv", image: "Image" },
    }
}

/// The directory below `arch/`, where the image appears.
fn image_directory(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86",
        _ => target(arch).arch,
    }
}

/// Builds the kernel of the row `name` for `arch`, or takes it from the store. What make prints goes to files in `logs`.
///
/// # Errors
/// When the source or a fragment cannot be read, something that builds it is missing, or make fails.
pub(super) async fn build(
    archive: &Arc<Archive>,
    project: &Project,
    name: &str,
    spec: &SourceSpec,
    arch: Arch,
    logs: &Path,
) -> Result<Kernel, KernelError> {
    let failed = |source: BuildError| KernelError::Build { name: name.to_owned(), source };
    let cross = if Arch::host() == Some(arch) { String::new() } else { format!("{}-linux-gnu-", arch.name()) };
    let compiler = format!("{cross}gcc");
    let needed = ["make".to_owned(), "flex".into(), "bison".into(), compiler.clone()];
    let missing: Vec<String> = needed.into_iter().filter(|program| program::on_path(program).is_none()).collect();
    if !missing.is_empty() {
        return Err(failed(BuildError::Missing { missing }));
    }
    let version = Command::new(&compiler).arg("--version").capture().run(Duration::from_secs(60)).await;
    let version = version.map_err(|error| failed(error.into()))?.stdout;
    let pahole = program::on_path("pahole").is_some();

    let (source, config) = in_background({
        let (archive, directory, name, spec) =
            (Arc::clone(archive), project.directory.clone(), name.to_owned(), spec.clone());
        move || -> Result<_, KernelError> {
            Ok((Source::find(&archive, &directory, &name, &spec)?, Config::read(&directory, &name, &spec, arch)?))
        }
    })
    .await?;
    let key = elsewhere::key(&[
        FORMAT.to_owned(),
        arch.to_string(),
        String::from_utf8_lossy(&version).into_owned(),
        pahole.to_string(),
        source.id.clone(),
        config.base.clone(),
        config.base_text.clone().unwrap_or_default(),
        config.lines.clone(),
    ]);
    let fingerprint = Sha256::of(key.to_string().as_bytes());
    let in_store = |directory: PathBuf| {
        let release = fs::read_to_string(directory.join("release"));
        let release =
            release.map_err(|error| failed(StoreError::at("read", &directory.join("release"))(error).into()))?;
        let modules = directory.join("modules");
        Ok(Kernel {
            release,
            image: directory.join("image"),
            modules: modules.join("kernel").is_dir().then_some(modules),
            config: Some(directory.join("config")),
            fingerprint,
            package: None,
        })
    };
    let store = archive.store().clone();
    if let Some(directory) = store.derived(&key).map_err(|error| failed(error.into()))? {
        return in_store(directory);
    }
    let scratch = store.scratch().map_err(|error| failed(error.into()))?;
    let work = Work {
        scratch: scratch.path().to_owned(),
        log: logs.join(format!("kernel-{arch}-{name}")),
        arch,
        cross,
        pahole,
    };
    work.build(name, source, &config).await?;
    let label = format!("kernel {name} for {arch}, built");
    let made = in_background({
        let install = scratch.path().join("install");
        move || keep(&store, &key, &label, &install)
    });
    in_store(made.await.map_err(|error| failed(error.into()))?)
}

/// Moves what was built into the store.
fn keep(store: &Store, key: &Key, label: &str, from: &Path) -> Result<PathBuf, StoreError> {
    store.derive(key, label, |directory| {
        for entry in fs::read_dir(from).map_err(StoreError::at("read", from))? {
            let entry = entry.map_err(StoreError::at("read", from))?;
            let to = directory.join(entry.file_name());
            fs::rename(entry.path(), &to).map_err(StoreError::at("write", &to))?;
        }
        Ok(())
    })
}

/// Where and how one kernel is built.
struct Work {
    scratch: PathBuf,
    /// What make prints goes to files whose names begin so.
    log: PathBuf,
    arch: Arch,
    cross: String,
    pahole: bool,
}

impl Work {
    /// Leaves `image`, `config`, `release` and, where there are some, `modules` in `install` below the scratch directory.
    async fn build(&self, name: &str, source: Source, config: &Config) -> Result<(), KernelError> {
        let failed = |source: BuildError| KernelError::Build { name: name.to_owned(), source };
        let tree = if source.is_tree {
            source.path
        } else {
            let into = self.scratch.join("source");
            let (label, path) = (format!("source of kernel {name}"), source.path);
            let unpacked = in_background({
                let into = into.clone();
                move || {
                    fs::create_dir(&into).map_err(|error| ArchiveError::from(StoreError::at("make", &into)(error)))?;
                    Ok::<_, ArchiveError>(deb::unpack_any(&label, &path, &into, Merge::Nothing, Limits::default())?)
                }
            });
            unpacked.await.map_err(|source| KernelError::Archive { name: name.to_owned(), source })?;
            into
        };
        let root = root_of(&tree).ok_or_else(|| failed(BuildError::NotAKernel { path: tree.clone() }))?;
        self.make_all(&root, config).await.map_err(failed)
    }

    async fn make_all(&self, root: &Path, config: &Config) -> Result<(), BuildError> {
        let (out, install) = (self.scratch.join("out"), self.scratch.join("install"));
        for directory in [&out, &install] {
            fs::create_dir(directory).map_err(StoreError::at("make", directory))?;
        }
        let dot_config = out.join(".config");
        let write = |text: &str| fs::write(&dot_config, text).map_err(StoreError::at("write", &dot_config));
        let read = || fs::read_to_string(&dot_config).map_err(StoreError::at("read", &dot_config));
        match &config.base_text {
            Some(text) => write(text)?,
            None => self.make(root, &out, &config.base, &[&config.base]).await?,
        }
        // A later line about an option replaces an earlier one.
        write(&(read()? + &config.lines))?;
        self.make(root, &out, "olddefconfig", &["olddefconfig"]).await?;
        let made = read()?;
        let refused = config.refused(&made);
        if !refused.is_empty() {
            let wants_pahole = !self.pahole && refused.iter().any(|line| line.starts_with("CONFIG_DEBUG_INFO_BTF="));
            return Err(BuildError::Config { refused, wants_pahole });
        }
        let image = target(self.arch).image;
        let has_modules = made.lines().any(|line| line.ends_with("=m"));
        let goals: &[&str] = if has_modules { &[image, "modules"] } else { &[image] };
        self.make(root, &out, image, goals).await?;
        if has_modules {
            // Nobody reads what depmod writes: the load order comes from the modules themselves.
            let to = format!("INSTALL_MOD_PATH={}", install.join("root").display());
            let goals = ["modules_install", &to, "INSTALL_MOD_STRIP=1", "DEPMOD=true"];
            self.make(root, &out, "modules_install", &goals).await?;
        }
        let release_path = out.join("include/config/kernel.release");
        let release = fs::read_to_string(&release_path).map_err(StoreError::at("read", &release_path))?;
        let release = release.trim();
        let image = out.join("arch").join(image_directory(self.arch)).join("boot").join(image);
        for (from, to) in [(image, "image"), (dot_config.clone(), "config")] {
            fs::copy(&from, install.join(to)).map(drop).map_err(StoreError::at("copy", &from))?;
        }
        fs::write(install.join("release"), release).map_err(StoreError::at("write", &install))?;
        if has_modules {
            let from = install.join("root/lib/modules").join(release);
            // They lead into the scratch directory.
            for link in ["build", "source"] {
                drop(fs::remove_file(from.join(link)));
            }
            fs::rename(&from, install.join("modules")).map_err(StoreError::at("move", &from))?;
            let left = install.join("root");
            fs::remove_dir_all(&left).map_err(StoreError::at("remove", &left))?;
        }
        Ok(())
    }

    async fn make(&self, root: &Path, out: &Path, goal: &str, goals: &[&str]) -> Result<(), BuildError> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut log = self.log.clone().into_os_string();
        log.push(format!("-{goal}.log"));
        let log = PathBuf::from(log);
        let make = Command::new("make")
            .arg("-C")
            .arg(root)
            .arg(format!("O={}", out.display()))
            .arg(format!("ARCH={}", target(self.arch).arch))
            .arg(format!("CROSS_COMPILE={}", self.cross))
            .arg(format!("-j{jobs}"))
            .args(goals)
            // A make that runs us would hand its own options and jobs down.
            .env_remove("MAKEFLAGS")
            .env_remove("MFLAGS")
            .env("LC_ALL", "C")
            // The same source gives the same kernel.
            .env("KBUILD_BUILD_TIMESTAMP", "1970-01-01")
            .env("KBUILD_BUILD_USER", "ukci")
            .env("KBUILD_BUILD_HOST", "ukci")
            .log(&log);
        if make.run_any(DEADLINE).await?.status.success() {
            return Ok(());
        }
        let printed = fs::read(&log).unwrap_or_default();
        let message = first_errors(&String::from_utf8_lossy(&printed));
        Err(BuildError::Make { goal: goal.to_owned(), message, log })
    }
}

/// The kernel's top directory: `tree`, or the only directory in it.
fn root_of(tree: &Path) -> Option<PathBuf> {
    let is_kernel = |path: &Path| path.join("Makefile").is_file() && path.join("Kconfig").is_file();
    if is_kernel(tree) {
        return Some(tree.to_owned());
    }
    let mut entries = fs::read_dir(tree).ok()?.flatten();
    let (first, None) = (entries.next()?, entries.next()) else { return None };
    Some(first.path()).filter(|path| is_kernel(path))
}

/// What a person needs of a failed build's output: the compiler's errors and make's own, few of them.
fn first_errors(printed: &str) -> String {
    let is_error = |line: &&str| ["error: ", "error:\t", "*** ", "not found"].iter().any(|mark| line.contains(mark));
    // Each make up the tree repeats that it failed.
    let is_echo = |line: &&str| line.starts_with("make") && line.contains("] Error ");
    let errors: Vec<&str> =
        printed.lines().map(str::trim).filter(is_error).filter(|line| !is_echo(line)).take(5).collect();
    match errors.as_slice() {
        [] => printed.lines().last().unwrap_or("make printed nothing").to_owned(),
        errors => errors.join("\n    "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_error_is_found_among_makes_echoes() {
        let printed =
            "  CC a.o\na.c:1:2: error: no such thing\nmake[1]: *** [Makefile:3: a.o] Error 1\nmake: *** [x] Error 2\n";
        assert_eq!(first_errors(printed), "a.c:1:2: error: no such thing");
        let printed = "Makefile:9: *** mixed implicit and normal rules.  Stop.\n";
        assert_eq!(first_errors(printed), printed.trim());
        assert_eq!(first_errors("a\nthe end\n"), "the end");
    }
}
