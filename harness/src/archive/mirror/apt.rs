//! Reads apt's configuration, in its one-line and its deb822 format (sources.list(5)).

use std::fs;
use std::path::{Path, PathBuf};

use deb822_fast::Deb822;

use crate::archive::mirror::{KEYRINGS, MirrorError, read};

/// One line or stanza that names archives of binary packages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    /// The keyring's path, where one is given by path.
    signed_by: Option<String>,
}

impl Source {
    /// Whether this is Debian's archive, and not Ubuntu's or a vendor's that also has suites called `bookworm`.
    ///
    /// Nothing in the format says so. The keyring is the best witness; a source without one must have `debian` or
    /// `debian-security` as the last part of its path, as mirrors of Debian do. A source that gets past this by mistake
    /// does no harm: what it serves is not signed by a key of Debian's keyring, and that is an error.
    fn is_debian(&self, uri: &str) -> bool {
        match &self.signed_by {
            Some(path) => path.rsplit('/').next().is_some_and(|name| name.starts_with("debian-archive")),
            None => {
                let last = uri.trim_end_matches('/').rsplit('/').next();
                matches!(last, Some("debian" | "debian-security"))
            }
        }
    }
}

/// The main archive that apt uses and its security archive, or `None` when it uses no archive of Debian's.
pub(super) fn find(root: &Path) -> Result<Option<(String, Option<String>)>, MirrorError> {
    if !KEYRINGS.iter().any(|path| root.join(path).exists()) {
        return Ok(None); // Without Debian's keys apt itself could not use Debian's archive.
    }
    let (mut main, mut security) = (None, None);
    for source in sources(root)? {
        if !source.components.iter().any(|component| component == "main") {
            continue;
        }
        // `cdrom:`, `file:` and `mirror+file:` are not ours to fetch.
        let fetchable = |uri: &&String| uri.starts_with("http://") || uri.starts_with("https://");
        for uri in source.uris.iter().filter(fetchable).filter(|uri| source.is_debian(uri)) {
            let is_security = uri.trim_end_matches('/').ends_with("debian-security")
                || source.suites.iter().all(|suite| suite.ends_with("-security"));
            let slot = if is_security { &mut security } else { &mut main };
            slot.get_or_insert_with(|| uri.clone());
        }
    }
    Ok(main.map(|main| (main, security)))
}

/// Every source of apt's files, in apt's order.
fn sources(root: &Path) -> Result<Vec<Source>, MirrorError> {
    let mut found = Vec::new();
    if let Some(text) = read(&root.join("etc/apt/sources.list"))? {
        found.extend(text.lines().filter_map(one_line));
    }
    let directory = root.join("etc/apt/sources.list.d");
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    for path in files {
        let extension = path.extension().unwrap_or_default();
        if extension != "list" && extension != "sources" {
            continue;
        }
        let Some(text) = read(&path)? else { continue };
        if extension == "list" {
            found.extend(text.lines().filter_map(one_line));
        } else {
            found.extend(stanzas(&text).map_err(|message| MirrorError::Apt { path, message })?);
        }
    }
    Ok(found)
}

/// `deb [option=value …] URI SUITE COMPONENT…`
fn one_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: signed_by.map(str::to_owned),
    })
}

/// The stanzas of a `.sources` file that are switched on.
fn stanzas(text: &str) -> Result<Vec<Source>, String> {
    let paragraphs: Deb822 = text.parse().map_err(|error: deb822_fast::Error| error.to_string())?;
    let mut found = Vec::new();
    for stanza in paragraphs.iter() {
        let words = |field| -> Vec<String> {
            stanza.get(field).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let off = stanza.get("Enabled").is_some_and(|value| {
            ["no", "false", "without", "off", "disable", "0"].contains(&value.trim().to_ascii_lowercase().as_str())
        });
        if off || !words("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        // `Signed-By` may hold a whole key instead of a path; then the URI must tell whose archive it is.
        let signed_by = stanza.get("Signed-By").map(str::trim).filter(|value| value.starts_with('/'));
        found.push(Source {
            uris: words("URIs"),
            suites: words("Suites"),
            components: words("Components"),
            signed_by: signed_by.map(str::to_owned),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Check that options, comments and other kinds of lines are told from what matters.
    #[test]
    fn one_line_format() {
        let line =
            "deb [ arch=amd64 signed-by=/k/debian-archive-keyring.gpg ] http://mirror.example/debian sid main # x";
        let source = one_line(line).expect("a source");
        assert_eq!(source.uris, ["http://mirror.example/debian"]);
        assert_eq!(source.suites, ["sid"]);
        assert_eq!(source.components, ["main"]);
        assert_eq!(source.signed_by.as_deref(), Some("/k/debian-archive-keyring.gpg"));
        for other in
            ["", "# deb http://mirror.example/debian sid main", "deb-src http://mirror.example/debian sid main"]
        {
            assert_eq!(one_line(other), None, "{other}");
        }
    }

    /// Check that disabled stanzas and sources of source code are left out, and that lists are lists.
    #[test]
    fn deb822_format() {
        let text = "Types: deb deb-src\nURIs: http://mirror.example/debian\n http://other.example/debian\n\
                    Suites: sid experimental\nComponents: main contrib\nSigned-By: /k/debian-archive-keyring.pgp\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: sid\nComponents: main\n\n\
                    # a comment\nTypes: deb-src\nURIs: http://src.example/debian\nSuites: sid\nComponents: main\n";
        let found = stanzas(text).expect("well-formed");
        let [source] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(source.uris, words("http://mirror.example/debian http://other.example/debian"));
        assert_eq!(source.suites, words("sid experimental"));
        assert_eq!(source.signed_by.as_deref(), Some("/k/debian-archive-keyring.pgp"));
    }

    /// Check that neither Ubuntu's archive nor a vendor's is taken for Debian's.
    #[test]
    fn only_debian_is_debian() {
        let mut source = Source::default();
        assert!(source.is_debian("http://mirror.example/pub/debian/"));
        assert!(source.is_debian("http://mirror.example/debian-security"));
        assert!(!source.is_debian("http://mirror.example/ubuntu/"));
        source.signed_by = Some("/usr/share/keyrings/ubuntu-archive-keyring.gpg".into());
        assert!(!source.is_debian("http://mirror.example/debian"));
        source.signed_by = Some("/usr/share/keyrings/debian-archive-keyring.gpg".into());
        assert!(source.is_debian("http://mirror.example/apt-cache"));
    }
}
