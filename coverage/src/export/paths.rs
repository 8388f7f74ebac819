//! The paths of a report: [`in_repository`] and [`of_repository`].

use std::path::{Component, Path, PathBuf};

use lcov::Report;

use super::ExportError;

/// Demands that each path is that of a file of the repository.
pub(super) fn in_repository(report: Report, repository: &Path) -> Result<Report, ExportError> {
    let outside = report.sections.keys().map(|key| &key.source_file).find(|path| {
        !path.components().all(|part| matches!(part, Component::Normal(_))) || !repository.join(path).is_file()
    });
    match outside {
        Some(path) => Err(ExportError::Outside { path: path.clone(), repository: repository.to_owned() }),
        None => Ok(report),
    }
}

/// Makes paths relative to the repository, and leaves out those that are not of its files.
pub(super) fn of_repository(report: Report, repository: &Path) -> Report {
    let mut kept = Report::new();
    for (mut key, value) in report.sections {
        let relative: PathBuf = key.source_file.strip_prefix(repository).unwrap_or(&key.source_file).to_owned();
        if relative.components().all(|part| matches!(part, Component::Normal(_)))
            && repository.join(&relative).is_file()
        {
            key.source_file = relative;
            kept.sections.insert(key, value);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(path: &str) -> Report {
        let text = format!("SF:{path}\nDA:1,2\nend_of_record\n");
        Report::from_reader(lcov::Reader::new(text.as_bytes())).unwrap()
    }

    /// Check that a path that is absolute, climbs, or is of no file is refused by name.
    #[test]
    fn outside() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in ["/etc/passwd", "../Cargo.toml", "src/no_such.bpf.c"] {
            let error = in_repository(report(path), repository).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the report names `{path}`, which is not in `")), "{error}");
        }
        assert!(in_repository(report("src/lib.rs"), repository).is_ok());
    }

    /// Check that of user space only the repository's files stay, with relative paths.
    #[test]
    fn dependencies_are_left_out() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let inside = repository.join("src/lib.rs");
        let kept = of_repository(report(inside.to_str().unwrap()), repository);
        let paths: Vec<&PathBuf> = kept.sections.keys().map(|key| &key.source_file).collect();
        assert_eq!(paths, [Path::new("src/lib.rs")]);
        assert!(of_repository(report("/rustc/abc/library/core/src/lib.rs"), repository).sections.is_empty());
    }
}
