//! A named part of the matrix, for `--set`: [`SetSpec`].

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::matrix::Arch;

/// Which part of each axis a set has; all of it where nothing is said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a set like `{kernels: [\"6.12\"]}`, or `{}` for everything")]
pub struct SetSpec {
    /// Kernels' names, or globs of them.
    pub kernels: Option<Vec<String>>,
    /// Architectures.
    pub arches: Option<BTreeSet<Arch>>,
    /// LLVM releases.
    pub llvm: Option<Vec<LlvmChoice>>,
}

/// An LLVM release of the matrix, by number or by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LlvmChoice {
    /// The newest that the matrix has.
    Newest,
    /// The oldest that the matrix has.
    Oldest,
    /// This one.
    Version(u32),
}

impl LlvmChoice {
    /// Which of `versions`, newest first, is meant.
    pub(in crate::matrix) fn of(self, versions: &[u32]) -> Option<u32> {
        match self {
            Self::Newest => versions.first().copied(),
            Self::Oldest => versions.last().copied(),
            Self::Version(version) => Some(version).filter(|version| versions.contains(version)),
        }
    }
}

impl fmt::Display for LlvmChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest"),
            Self::Oldest => f.write_str("oldest"),
            Self::Version(version) => write!(f, "{version}"),
        }
    }
}

impl<'de> Deserialize<'de> for LlvmChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choice;

        impl Visitor<'_> for Choice {
            type Value = LlvmChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an LLVM release, `newest` or `oldest`")
            }

            fn visit_u64<E: Error>(self, version: u64) -> Result<LlvmChoice, E> {
                let version = u32::try_from(version);
                version.map(LlvmChoice::Version).map_err(|error| E::custom(format!("an LLVM release: {error}")))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<LlvmChoice, E> {
                match text {
                    "newest" => Ok(LlvmChoice::Newest),
                    "oldest" => Ok(LlvmChoice::Oldest),
                    text => Err(E::custom(format!("`{text}` is neither an LLVM release, nor `newest`, nor `oldest`"))),
                }
            }
        }

        deserializer.deserialize_any(Choice)
    }
}
