//! Which mirror and which keyring to use: [`Settings`] says where to look, [`Settings::discover`] gives the [`Mirror`].
//!
//! What the environment says wins over the user's configuration file, and that over apt's configuration.

mod apt;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// Where the keys of the archive are on a Debian machine, and on others that have installed them: the second name is that
/// of trixie and later.
const KEYRINGS: [&str; 2] =
    ["usr/share/keyrings/debian-archive-keyring.gpg", "usr/share/keyrings/debian-archive-keyring.pgp"];

/// Where to look for a mirror. Nothing is read before [`Self::discover`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// `UKCI_MIRROR`: the URL of the main archive.
    pub mirror: Option<String>,
    /// `UKCI_MIRROR_SECURITY`: the URL of the security archive.
    pub mirror_security: Option<String>,
    /// `UKCI_KEYRING`: the file with the keys that may sign.
    pub keyring: Option<PathBuf>,
    /// The user's configuration file. It need not be there.
    pub config: Option<PathBuf>,
    /// The root of the file system whose apt is asked: `/`, except in tests.
    pub root: PathBuf,
}

impl Settings {
    /// What this process's environment says.
    #[must_use]
    pub fn from_env() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let config_home = text("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| text("HOME").map(|home| PathBuf::from(home).join(".config")));
        Self {
            mirror: text("UKCI_MIRROR"),
            mirror_security: text("UKCI_MIRROR_SECURITY"),
            keyring: text("UKCI_KEYRING").map(PathBuf::from),
            config: config_home.map(|home| home.join("ukci/config.yaml")),
            root: PathBuf::from("/"),
        }
    }

    /// Finds the mirror and the keyring.
    ///
    /// # Errors
    /// When there is none, or a setting is wrong. The message says how to set it.
    pub fn discover(&self) -> Result<Mirror, MirrorError> {
        let config = self.read_config()?;
        // A security archive goes with the main archive that stands beside it, so that nobody mixes two mirrors unasked.
        let (main, security) = if let Some(main) = &self.mirror {
            (check("UKCI_MIRROR", main)?, None)
        } else if let Some(main) = &config.mirror {
            (check("mirror", main)?, config.mirror_security.as_deref())
        } else {
            let (main, security) = apt::find(&self.root)?.ok_or(MirrorError::NotFound)?;
            return self.finish(check("URIs", &main)?, security.as_deref(), &config);
        };
        self.finish(main, security, &config)
    }

    fn finish(&self, main: String, security: Option<&str>, config: &Config) -> Result<Mirror, MirrorError> {
        let security = match (&self.mirror_security, security) {
            (Some(url), _) => check("UKCI_MIRROR_SECURITY", url)?,
            (None, Some(url)) => check("mirror_security", url)?,
            (None, None) => format!("{main}-security"),
        };
        let given = self.keyring.clone().or_else(|| config.keyring.clone());
        let keyring = match given {
            Some(path) => path,
            None => {
                let known = KEYRINGS.iter().map(|path| self.root.join(path));
                known.clone().find(|path| path.exists()).ok_or(MirrorError::NoKeyring)?
            }
        };
        Ok(Mirror { main, security, keyring })
    }

    fn read_config(&self) -> Result<Config, MirrorError> {
        let Some(path) = &self.config else { return Ok(Config::default()) };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
            Err(source) => return Err(MirrorError::Read { path: path.clone(), source }),
        };
        if text.trim().is_empty() {
            return Ok(Config::default());
        }
        serde_yaml::from_str(&text).map_err(|source| MirrorError::Config { path: path.clone(), source })
    }
}

/// A mirror of the archive, and who may sign what it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The URL of the main archive, without a slash at its end.
    pub main: String,
    /// The URL of the security archive, without a slash at its end.
    pub security: String,
    /// The file with the keys that may sign.
    pub keyring: PathBuf,
}

impl Mirror {
    /// The URL of the archive that has `suite`: `…-security` suites live in the security archive.
    #[must_use]
    pub fn base(&self, suite: &str) -> &str {
        if suite.ends_with("-security") { &self.security } else { &self.main }
    }
}

/// Why there is no mirror to use.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// Neither the environment nor a file names one.
    #[error(
        "no mirror of the Debian archive is known: `UKCI_MIRROR` is not set, the configuration file names none, and apt on \
         this machine uses none\n  \
         hint: export UKCI_MIRROR=http://HOST/debian, or write `mirror: http://HOST/debian` to ~/.config/ukci/config.yaml"
    )]
    NotFound,
    /// The keys of the archive are not on this machine.
    #[error(
        "the keys that sign the Debian archive are not on this machine: `/{}` is missing\n  \
         hint: install the package debian-archive-keyring, or export UKCI_KEYRING=FILE (`keyring: FILE` in \
         ~/.config/ukci/config.yaml)",
        KEYRINGS[0]
    )]
    NoKeyring,
    /// A URL that we cannot fetch from.
    #[error("`{setting}` is `{value}`: expected a URL that begins with http:// or https:// and names a host")]
    BadUrl {
        /// The variable or key.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// A file is there and cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration file is not what it should be.
    #[error("`{path}`: {source}\n  hint: the keys are mirror, mirror_security and keyring")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line.
        source: serde_yaml::Error,
    },
    /// One of apt's files is not what it should be.
    #[error(
        "cannot understand apt's `{path}`: {message}\n  hint: export UKCI_MIRROR=http://HOST/debian to do without apt's files"
    )]
    Apt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    mirror: Option<String>,
    mirror_security: Option<String>,
    keyring: Option<PathBuf>,
}

/// A URL that we can fetch from, without slashes at its end.
fn check(setting: &'static str, url: &str) -> Result<String, MirrorError> {
    let trimmed = url.trim().trim_end_matches('/');
    let rest = trimmed.strip_prefix("http://").or_else(|| trimmed.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace) => {
            Ok(trimmed.to_owned())
        }
        _ => Err(MirrorError::BadUrl { setting, value: url.to_owned() }),
    }
}

fn read(path: &Path) -> Result<Option<String>, MirrorError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MirrorError::Read { path: path.to_owned(), source }),
    }
}
