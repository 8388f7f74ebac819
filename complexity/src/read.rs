//! Reading what a release has written: [`versioned`] looks at the number of the layout before anything else.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Why a text is not a report.
#[derive(Debug)]
pub enum ReadError {
    /// It is not JSON, or not of this layout: where, and what was expected.
    Malformed(serde_json::Error),
    /// It is of another layout.
    Schema {
        /// The number that this release knows.
        expected: u32,
        /// The number that it has.
        found: u64,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => write!(f, "not a report of verifier complexity: {error}"),
            Self::Schema { expected, found } => write!(
                f,
                "a report of another layout: expected schema `{expected}`, found `{found}`\n  hint: read it with the \
                 release that wrote it"
            ),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Schema { .. } => None,
        }
    }
}

/// Reads JSON of the layout whose number, in the key `schema`, is `expected`. Keys that `T` does not have are skipped.
///
/// # Errors
/// When the text is none; the error says where and what was expected.
pub fn versioned<T: DeserializeOwned>(text: &str, expected: u32) -> Result<T, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u64,
    }
    let head: Head = serde_json::from_str(text).map_err(ReadError::Malformed)?;
    if head.schema != u64::from(expected) {
        return Err(ReadError::Schema { expected, found: head.schema });
    }
    serde_json::from_str(text).map_err(ReadError::Malformed)
}
