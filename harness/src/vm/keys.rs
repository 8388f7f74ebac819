//! The keys of one run: [`RunKeys`]. Made on the host, forgotten with the run, never written to the host's disk but for the
//! public half and the guest's own key, which go into the guest's initramfs.

use std::fmt;

use rand_core::OsRng;
use ssh_key::private::{Ed25519Keypair, PrivateKey};
use ssh_key::{LineEnding, PublicKey};
use thiserror::Error;

/// A key could not be encoded, which only a defect of the library would bring about.
#[derive(Debug, Error)]
#[error("cannot make the run's ssh keys: {0}")]
pub struct KeyError(#[from] ssh_key::Error);

/// A key pair for us and one for the guest, so that both ends know each other from the start.
#[derive(Clone)]
pub struct RunKeys {
    private: String,
    authorized: String,
    host_blob: Vec<u8>,
    host_file: Vec<u8>,
}

/// Shows no secret.
impl fmt::Debug for RunKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunKeys").field("authorized", &self.authorized).finish_non_exhaustive()
    }
}

impl RunKeys {
    /// Makes new keys.
    ///
    /// # Errors
    /// When a key cannot be encoded.
    pub fn generate() -> Result<Self, KeyError> {
        let client = PrivateKey::from(Ed25519Keypair::random(&mut OsRng));
        let host = Ed25519Keypair::random(&mut OsRng);
        Ok(Self {
            private: client.to_openssh(LineEnding::LF)?.to_string(),
            authorized: client.public_key().to_openssh()?,
            host_blob: PublicKey::from(host.public).to_bytes()?,
            host_file: dropbear_file(&host),
        })
    }

    /// The line for the guest's `authorized_keys`.
    #[must_use]
    pub fn authorized_key(&self) -> &str {
        &self.authorized
    }

    /// The guest's own key, as dropbear reads it.
    #[must_use]
    pub fn host_key_file(&self) -> &[u8] {
        &self.host_file
    }

    /// Our private key, as OpenSSH writes it.
    pub(crate) fn private(&self) -> &str {
        &self.private
    }

    /// The guest's public key, as it sends it.
    pub(crate) fn host_blob(&self) -> &[u8] {
        &self.host_blob
    }
}

/// dropbear's own format: the algorithm as an ssh string, then seed and public key as another.
fn dropbear_file(key: &Ed25519Keypair) -> Vec<u8> {
    let mut file = Vec::new();
    for part in [&b"ssh-ed25519"[..], &key.to_bytes()] {
        file.extend_from_slice(&u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
        file.extend_from_slice(part);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_key_file_holds_the_key_that_is_pinned() {
        let keys = RunKeys::generate().unwrap();
        let file = keys.host_key_file();
        assert_eq!(file.len(), 4 + 11 + 4 + 64);
        assert_eq!(&file[..19], b"\0\0\0\x0bssh-ed25519\0\0\0\x40");
        // An ssh public key is the algorithm and the 32 bytes of the key, both as strings.
        assert_eq!(&file[51..], &keys.host_blob()[19..]);
    }

    #[test]
    fn no_secret_is_shown() {
        let keys = RunKeys::generate().unwrap();
        assert!(!format!("{keys:?}").contains("PRIVATE"));
        assert!(keys.private().contains("PRIVATE"));
    }
}
