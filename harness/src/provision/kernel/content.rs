//! What names the content of files of this machine: [`of_tree`].

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::archive::{Key, Sha256};

/// A hash of everything below `root` but `.git`: paths, content, what links point at, and what is executable. Neither times nor
/// owners, so two checkouts of one commit have the same.
///
/// # Errors
/// When something in it cannot be read.
pub(super) fn of_tree(root: &Path) -> io::Result<String> {
    let mut parts = Vec::new();
    add(root, Path::new(""), &mut parts)?;
    Ok(Key::new("content", parts).to_string())
}

fn add(root: &Path, below: &Path, parts: &mut Vec<Vec<u8>>) -> io::Result<()> {
    let mut entries = fs::read_dir(root.join(below))?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if path != Path::new(".git") {
                add(root, &path, parts)?;
            }
            continue;
        }
        // What is neither a file nor a link, a socket say, is no content.
        let (label, content) = if kind.is_symlink() {
            ("link", fs::read_link(entry.path())?.into_os_string().as_bytes().to_vec())
        } else if kind.is_file() {
            let label = if entry.metadata()?.permissions().mode() & 0o111 == 0 { "file" } else { "program" };
            (label, Sha256::of_file(&entry.path())?.to_string().into_bytes())
        } else {
            continue;
        };
        parts.extend([path.into_os_string().as_bytes().to_vec(), label.into(), content]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_is_named_by_what_is_in_it() {
        let tree = |content: &str, mode: u32| {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("scripts")).unwrap();
            fs::create_dir_all(dir.path().join(".git")).unwrap();
            // Different in each tree.
            fs::write(dir.path().join(".git/index"), dir.path().as_os_str().as_bytes()).unwrap();
            let script = dir.path().join("scripts/a");
            fs::write(&script, content).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(mode)).unwrap();
            symlink("a", dir.path().join("scripts/b")).unwrap();
            of_tree(dir.path()).unwrap()
        };
        let one = tree("one", 0o644);
        assert_eq!(one, tree("one", 0o600));
        assert_ne!(one, tree("two", 0o644));
        assert_ne!(one, tree("one", 0o755));
    }
}
