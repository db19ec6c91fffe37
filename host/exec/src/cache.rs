//! Compiled code kept in a folder by content hash and execution id, so that a restart compiles nothing.
//!
//! The code in it is run as it is: the folder must be the node's own, writable by nobody else. A file is `isxcode\0`,
//! version (u16), execution id (32), content hash (33), length (u64), BLAKE3 of the code (32), the code; little-endian.
//! A file that says anything else is as good as none. Losing the folder costs time only.

use crate::limits::ARTIFACT_BYTES_MAX;
use isx_row::ContentHash;
use isx_store::ExecutionId;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

const MAGIC: &[u8; 8] = b"isxcode\0";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 8 + 2 + 32 + 33 + 8 + 32;

/// A folder of compiled code.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in a folder, which is made when something is kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The code of a component under an execution id, if it is there and whole.
    pub(crate) fn get(&self, code: &ContentHash, id: &ExecutionId) -> Option<Vec<u8>> {
        let file = File::open(self.path(code, id)).ok()?;
        let mut header = [0; HEADER_BYTES];
        let mut file = file.take((HEADER_BYTES + ARTIFACT_BYTES_MAX) as u64 + 1);
        file.read_exact(&mut header).ok()?;
        let mut artifact = Vec::new();
        file.read_to_end(&mut artifact).ok()?;
        (artifact.len() <= ARTIFACT_BYTES_MAX && header == self::header(code, id, &artifact)).then_some(artifact)
    }

    /// Keeps code that this program compiled.
    ///
    /// # Errors
    /// Of the file system; the cache is as it was then.
    pub(crate) fn put(&self, code: &ContentHash, id: &ExecutionId, artifact: &[u8]) -> io::Result<()> {
        make_private(&self.folder)?;
        let path = self.path(code, id);
        // Whoever reads sees all of it or nothing; two who write the same write the same bytes.
        let unfinished = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = File::create(&unfinished)?;
        let written = file.write_all(&header(code, id, artifact)).and_then(|()| file.write_all(artifact));
        let kept = written.and_then(|()| fs::rename(&unfinished, &path));
        kept.inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    fn path(&self, code: &ContentHash, id: &ExecutionId) -> PathBuf {
        let id: String = id.0[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{code}-{id}.code"))
    }
}

fn header(code: &ContentHash, id: &ExecutionId, artifact: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (length, check) = ((artifact.len() as u64).to_le_bytes(), blake3::hash(artifact));
    let parts: [&[u8]; 7] =
        [MAGIC, &VERSION.to_le_bytes(), &id.0, &[code.algorithm], &code.digest, &length, check.as_bytes()];
    let mut at = 0;
    for part in parts {
        header[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    header
}

fn make_private(folder: &std::path::Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_or_foreign_files_are_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("code"));
        let (code, id) = (ContentHash::of(b"component"), ExecutionId([1; 32]));
        assert_eq!(cache.get(&code, &id), None);
        cache.put(&code, &id, b"artifact").unwrap();
        assert_eq!(cache.get(&code, &id).as_deref(), Some(b"artifact".as_slice()));

        let path = cache.path(&code, &id);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get(&code, &id), None, "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(cache.get(&code, &id), None, "cut at {at}");
        }
        // Another execution id with the same file name.
        fs::write(&path, &whole).unwrap();
        let mut similar = id;
        similar.0[31] = 9;
        assert_eq!(cache.path(&code, &similar), path);
        assert_eq!(cache.get(&code, &similar), None);
    }
}
