//! Where everything lies below the store's root.

use std::path::{Path, PathBuf};

use crate::types::{BlobKey, Encoding};

/// `lock`, `segments/`, `blobs/xx/`, `incoming/`, `quarantine/`.
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    pub fn new(root: &Path) -> Paths {
        Paths {
            root: root.to_path_buf(),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub fn segment(&self, id: u64) -> PathBuf {
        self.segments().join(format!("{id:016x}.seg"))
    }

    /// The id in a segment's file name.
    pub fn parse_segment(name: &str) -> Option<u64> {
        let digits = name
            .strip_suffix(".seg")
            .filter(|digits| digits.len() == 16)?;
        let is_ours = digits
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u64::from_str_radix(digits, 16).ok().filter(|_| is_ours)
    }

    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The folder of a blob's file: one of 256, so that none gets too long.
    pub fn blob_folder(&self, key: &BlobKey) -> PathBuf {
        self.blobs().join(format!("{:02x}", key.0[0]))
    }

    /// The file of a large blob in one of its forms.
    pub fn blob(&self, key: &BlobKey, encoding: Encoding) -> PathBuf {
        self.blob_folder(key).join(blob_name(key, encoding))
    }

    /// The key and the form in a blob's file name.
    pub fn parse_blob(name: &str) -> Option<(BlobKey, Encoding)> {
        let stem = name.strip_suffix(".blob")?;
        let Some((key, encoding)) = stem.split_once('.') else {
            return Some((BlobKey::parse(stem)?, Encoding::PLAIN));
        };
        let (key, encoding) = (BlobKey::parse(key)?, Encoding(encoding.parse().ok()?));
        // Only names that we give: one file has one name.
        (blob_name(&key, encoding) == name).then_some((key, encoding))
    }

    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub fn incoming_blob(&self, key: &BlobKey) -> PathBuf {
        self.incoming().join(format!("{key}.part"))
    }

    pub fn incoming_segment(&self, id: u64) -> PathBuf {
        self.incoming().join(format!("{id:016x}.seg.part"))
    }

    pub fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }
}

/// The name of a large blob's file.
pub fn blob_name(key: &BlobKey, encoding: Encoding) -> String {
    match encoding {
        Encoding::PLAIN => format!("{key}.blob"),
        Encoding(number) => format!("{key}.{number}.blob"),
    }
}
