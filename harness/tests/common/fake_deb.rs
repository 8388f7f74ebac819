//! Debian packages with any content, however bad: [`Deb`].

use std::io::Read;

/// A Debian package in the making.
#[derive(Default)]
pub(crate) struct Deb {
    entries: Vec<(tar::Header, Vec<u8>)>,
}

impl Deb {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An entry with any path and link, however bad.
    pub(crate) fn entry(mut self, kind: tar::EntryType, path: &str, link: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.entries.push((header, content.to_vec()));
        self
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(tar::EntryType::Directory, path, "", mode, b"")
    }

    pub(crate) fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(tar::EntryType::Regular, path, "", mode, content)
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, path, target, 0o777, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, path, target, 0o644, b"")
    }

    /// Its content alone, a tar archive, compressed as `suffix` says: `.xz`, `.zst`, `.gz` or nothing.
    pub(crate) fn tar(&self, suffix: &str) -> Vec<u8> {
        let mut content = tar::Builder::new(Vec::new());
        for (header, bytes) in &self.entries {
            content.append(header, &bytes[..]).expect("an entry");
        }
        let content = content.into_inner().expect("an archive");
        match suffix {
            ".xz" => xz(&content),
            ".zst" => zstd::encode_all(&content[..], 1).expect("compressed"),
            ".gz" => {
                let mut packed = Vec::new();
                let mut reader = flate2::read::GzEncoder::new(&content[..], flate2::Compression::fast());
                reader.read_to_end(&mut packed).expect("compressed");
                packed
            }
            _ => content,
        }
    }

    /// The package, its content compressed in the same way.
    pub(crate) fn build(self, suffix: &str) -> Vec<u8> {
        let packed = self.tar(suffix);
        let mut members = ar::Builder::new(Vec::new());
        let data = format!("data.tar{suffix}");
        for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", b""), (&data, &packed)] {
            let header = ar::Header::new(name.into(), content.len() as u64);
            members.append(&header, content).expect("a member");
        }
        members.into_inner().expect("a package")
    }
}

/// `bytes`, compressed.
pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut packed).expect("compressed");
    packed
}
