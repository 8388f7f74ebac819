//! Who signed a Release file: [`Keyring::signed_text`] gives the text that a key of the keyring vouches for, and no other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};
use thiserror::Error;

/// Why a text cannot be trusted.
#[derive(Debug, Error)]
pub enum SignatureError {
    /// The keyring cannot be read.
    #[error("cannot read the keyring `{path}`: {source}\n  hint: set UKCI_KEYRING to the file with the archive's keys")]
    Keyring {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The keyring holds no usable key.
    #[error(
        "the keyring `{path}` holds no OpenPGP key{}\n  hint: set UKCI_KEYRING to the file with the archive's keys",
        reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: Option<String>,
    },
    /// There is no signature around the text.
    #[error(
        "it is not signed: {reason}\n  hint: is `UKCI_MIRROR` right, and does a proxy in between serve its own pages?"
    )]
    NotSigned {
        /// What the parser says.
        reason: String,
    },
    /// None of the signatures is by a key that may sign.
    #[error(
        "no signature by a key of `{keyring}`: {}\n  \
         hint: a newer package debian-archive-keyring may have the key; UKCI_KEYRING names another file",
        refused.join("; ")
    )]
    NotTrusted {
        /// The keyring's file.
        keyring: PathBuf,
        /// One reason per signature.
        refused: Vec<String>,
    },
}

/// The keys that may sign.
#[derive(Debug)]
pub struct Keyring {
    path: PathBuf,
    keys: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Reads a file of OpenPGP keys, binary or armored. Keys that we cannot parse are left out.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key.
    pub fn load(path: &Path) -> Result<Self, SignatureError> {
        let bytes = fs::read(path).map_err(|source| SignatureError::Keyring { path: path.to_owned(), source })?;
        let none = |reason| SignatureError::NoKey { path: path.to_owned(), reason };
        let (keys, _headers) =
            SignedPublicKey::from_reader_many(&bytes[..]).map_err(|error| none(Some(error.to_string())))?;
        let keys: Vec<_> = keys.filter_map(Result::ok).collect();
        if keys.is_empty() {
            return Err(none(None));
        }
        Ok(Self { path: path.to_owned(), keys })
    }

    /// The text inside a cleartext signature, exactly as it was signed, when at least one of the signatures is good: made
    /// with a strong hash by a key of this keyring that may sign, is not revoked, and had not expired when it signed.
    ///
    /// # Errors
    /// When there is no good signature.
    pub fn signed_text(&self, message: &[u8]) -> Result<String, SignatureError> {
        let not_signed = |reason: String| SignatureError::NotSigned { reason };
        let message = std::str::from_utf8(message).map_err(|error| not_signed(error.to_string()))?;
        let (message, _headers) =
            CleartextSignedMessage::from_string(message).map_err(|error| not_signed(error.to_string()))?;
        let text = message.signed_text();
        let mut refused = Vec::new();
        for signature in message.signatures() {
            match self.check(signature, text.as_bytes()) {
                // Lines end in CR LF in what is hashed, and in LF in what everybody parses.
                Ok(()) => return Ok(text.replace("\r\n", "\n")),
                Err(reason) => refused.push(reason),
            }
        }
        if refused.is_empty() {
            return Err(not_signed("the signature block is empty".into()));
        }
        Err(SignatureError::NotTrusted { keyring: self.path.clone(), refused })
    }

    fn check(&self, signature: &Signature, text: &[u8]) -> Result<(), String> {
        let strong = matches!(
            signature.hash_alg(),
            Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
                | Some(HashAlgorithm::Sha3_256 | HashAlgorithm::Sha3_512)
        );
        // Other types sign keys, not documents.
        let over_text = matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text));
        let (true, true, Some(created)) = (strong, over_text, signature.created()) else {
            return Err("a signature with a weak hash, of another type or without a date".into());
        };
        let signed_at = i64::from(created.as_secs());
        let lifetime = signature.signature_expiration_time().map_or(0, |time| i64::from(time.as_secs()));
        if lifetime > 0 && signed_at + lifetime < Timestamp::now().as_second() {
            return Err("a signature that has expired".into());
        }
        for key in &self.keys {
            if signature.verify(&key.primary_key, text).is_ok() {
                return primary_may_sign(key, signed_at, true).map_err(|why| named(&key.primary_key, why));
            }
            for subkey in &key.public_subkeys {
                if signature.verify(&subkey.key, text).is_ok() {
                    return primary_may_sign(key, signed_at, false)
                        .and_then(|()| subkey_may_sign(key, subkey, signed_at))
                        .map_err(|why| named(&subkey.key, why));
                }
            }
        }
        let issuer = signature.issuer_fingerprint().first().map(|print| format!("{print:X}"));
        let issuer = issuer.or_else(|| signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase()));
        let issuer = issuer.unwrap_or_else(|| "unknown".into());
        if self.has(signature) {
            return Err(format!("the signature by key `{issuer}` does not fit the text"));
        }
        Err(format!("key `{issuer}` is not in the keyring"))
    }

    fn has(&self, signature: &Signature) -> bool {
        let ids = signature.issuer_key_id();
        let prints = signature.issuer_fingerprint();
        let by = |key: &dyn KeyDetails| {
            ids.iter().any(|id| **id == key.legacy_key_id()) || prints.iter().any(|print| **print == key.fingerprint())
        };
        self.keys.iter().any(|key| by(&key.primary_key) || key.public_subkeys.iter().any(|subkey| by(&subkey.key)))
    }
}

fn named(key: &impl KeyDetails, why: &str) -> String {
    format!("key `{:X}` {why}", key.fingerprint())
}

/// Whether a primary key was good at `signed_at` (seconds since 1970), and may sign documents where `documents` says so.
///
/// A revocation counts whenever it was made: a stolen key can write any date into its signatures.
fn primary_may_sign(key: &SignedPublicKey, signed_at: i64, documents: bool) -> Result<(), &'static str> {
    let primary = &key.primary_key;
    if key.details.revocation_signatures.iter().any(|signature| signature.verify_key(primary).is_ok()) {
        return Err("is revoked");
    }
    let own_certifications = key.details.users.iter().flat_map(|user| {
        let certifies = |signature: &&Signature| {
            let kind = signature.typ();
            kind != Some(SignatureType::CertRevocation)
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(certifies)
    });
    let direct = key.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
    let newest = own_certifications.chain(direct).max_by_key(|signature| signature.created());
    let newest = newest.ok_or("does not certify itself")?;
    if documents && !newest.key_flags().sign() {
        return Err("is not meant to sign documents");
    }
    not_expired(primary.created_at().as_secs(), newest, signed_at)
}

/// Whether a subkey belongs to its primary key, may sign, and was good at `signed_at` (seconds since 1970).
fn subkey_may_sign(key: &SignedPublicKey, subkey: &SignedPublicSubKey, signed_at: i64) -> Result<(), &'static str> {
    let primary = &key.primary_key;
    let valid = || subkey.signatures.iter().filter(|own| own.verify_subkey_binding(primary, &subkey.key).is_ok());
    if valid().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err("is revoked");
    }
    let newest = valid().max_by_key(|signature| signature.created()).ok_or("is not bound to its primary key")?;
    if !newest.key_flags().sign() {
        return Err("is not meant to sign documents");
    }
    // Without the signature back, anybody could adopt somebody else's subkey as his own.
    let back = newest.embedded_signature().ok_or("does not acknowledge its primary key")?;
    if back.verify_primary_key_binding(&subkey.key, primary).is_err() {
        return Err("does not acknowledge its primary key");
    }
    not_expired(subkey.key.created_at().as_secs(), newest, signed_at)
}

fn not_expired(created: u32, certification: &Signature, signed_at: i64) -> Result<(), &'static str> {
    let created = i64::from(created);
    let lifetime = certification.key_expiration_time().map_or(0, |time| i64::from(time.as_secs()));
    if lifetime > 0 && created + lifetime < signed_at {
        return Err("had expired when it signed");
    }
    if signed_at < created {
        return Err("did not exist yet when it signed");
    }
    Ok(())
}
