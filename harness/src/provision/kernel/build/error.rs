//! Why a kernel was not built: [`BuildError`].

use std::path::PathBuf;

use thiserror::Error;

use crate::archive::StoreError;
use crate::process::ProcessError;

/// Why a kernel was not built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Programs are missing.
    #[error("building it needs {}, which this machine lacks\n  hint: {}", list(missing), hint(missing))]
    Missing {
        /// The programs.
        missing: Vec<String>,
    },
    /// The source is no kernel's.
    #[error("no `Makefile` and `Kconfig` of a kernel in `{}`, nor in its only directory", path.display())]
    NotAKernel {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Lines of the fragments that the kernel's configuration does not have in the end.
    #[error(
        "its configuration does not take {}\n  hint: this version has no such option, or it depends on another one \
         that is not set{}", list(refused), if *wants_pahole { "; BTF needs `pahole`, of the package of that name" } else { "" }
    )]
    Config {
        /// The lines.
        refused: Vec<String>,
        /// Whether BTF is among them and this machine cannot make it.
        wants_pahole: bool,
    },
    /// Make failed.
    #[error("`make {goal}` failed: {message}\n  log: {}{}", log.display(), hint_of_header(message))]
    Make {
        /// What was to be made.
        goal: String,
        /// The first errors that were printed.
        message: String,
        /// Everything that was printed.
        log: PathBuf,
    },
    /// Make could not be run, or did not end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(items: &[String]) -> String {
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

fn hint(missing: &[String]) -> String {
    let packages: Vec<String> = missing
        .iter()
        .map(|program| match program.strip_suffix("-linux-gnu-gcc") {
            Some(_) => format!("gcc-{}", program.trim_end_matches("-gcc").replace('_', "-")),
            None => program.clone(),
        })
        .collect();
    format!("install the packages {}", packages.join(" "))
}

fn hint_of_header(message: &str) -> &'static str {
    match message {
        text if text.contains("libelf.h") || text.contains("gelf.h") => {
            "\n  hint: install libelf's development package: libelf-dev or elfutils-libelf-devel"
        }
        text if text.contains("openssl/") => {
            "\n  hint: install OpenSSL's development package: libssl-dev or openssl-devel"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let missing = vec!["flex".to_owned(), "aarch64-linux-gnu-gcc".into()];
        assert_eq!(hint(&missing), "install the packages flex gcc-aarch64-linux-gnu");
    }
}
