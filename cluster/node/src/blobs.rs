//! Published blobs: files named by content hash, and the uploads that become them.

use crate::limits::{BLOBS_BYTES_MAX, UPLOAD_REST_MAX, UPLOADS_MAX};
use crate::planted::{Bug, Planted};
use isx_iface::host::Upload;
use isx_iface::limits::{CHUNK_BYTES_MAX, COMPONENT_BYTES_MAX};
use isx_port::{Clock, Disk, DiskError, Instant, OpenMode};
use isx_row::{Code, ContentHash, Error};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The folder of blobs.
const FOLDER: &str = "blobs";
/// The ending of a file that is being written.
const DRAFT: &str = ".draft";

/// The blobs of a node. A blob is whole and checked or it is not there.
pub struct Blobs {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    uploads: Mutex<BTreeMap<ContentHash, Uploading>>,
    /// Files that are not what their name says: as if they were not here, until they are published again.
    damaged: Mutex<BTreeSet<ContentHash>>,
}

struct Uploading {
    bytes: Vec<u8>,
    size_bytes: usize,
    touched: Instant,
}

impl Blobs {
    /// The blobs in a state folder; drafts of an earlier life are removed.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Result<Self, DiskError> {
        disk.create_dir(FOLDER)?;
        disk.sync_dir(".")?;
        for name in disk.list(FOLDER)? {
            if name.ends_with(DRAFT) {
                disk.remove(&format!("{FOLDER}/{name}"))?;
            }
        }
        Ok(Self { disk, clock, uploads: Mutex::default(), damaged: Mutex::default() })
    }

    /// Begins or continues an upload.
    ///
    /// # Errors
    /// `limit` for one that is too large, `busy` when too many are open.
    pub fn begin(&self, hash: ContentHash, size_bytes: u64) -> Result<Upload, Error> {
        if size_bytes > COMPONENT_BYTES_MAX || hash.algorithm != ContentHash::BLAKE3 {
            let text = format!("a blob has at most {COMPONENT_BYTES_MAX} bytes and a BLAKE3-256 hash");
            return Err(Error::new(Code::Limit, text));
        }
        if self.has(&hash) {
            return Ok(Upload { received_bytes: size_bytes, complete: true });
        }
        let now = self.clock.now();
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.retain(|_, upload| now.since(upload.touched) < UPLOAD_REST_MAX);
        if !uploads.contains_key(&hash) && uploads.len() == UPLOADS_MAX {
            return Err(Error::new(Code::Busy, format!("{UPLOADS_MAX} uploads are open already")));
        }
        let size_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        let fresh = || Uploading { bytes: Vec::new(), size_bytes, touched: now };
        let upload = uploads.entry(hash).or_insert_with(fresh);
        if upload.size_bytes != size_bytes {
            *upload = fresh();
        }
        Ok(Upload { received_bytes: upload.bytes.len() as u64, complete: false })
    }

    /// Takes the bytes from `offset`.
    ///
    /// # Errors
    /// `not_found` when no upload was begun, `conflict` when bytes before are missing, `limit` beyond the size.
    pub fn put(&self, hash: ContentHash, offset: u64, bytes: &[u8]) -> Result<Upload, Error> {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(upload) = uploads.get_mut(&hash) else {
            return Err(Error::new(Code::NotFound, "no such upload was begun, or it rested too long"));
        };
        let received = upload.bytes.len() as u64;
        let Some(passed_over) = received.checked_sub(offset) else {
            return Err(Error::new(Code::Conflict, format!("the upload has {received} bytes, not {offset}")));
        };
        let passed_over = usize::try_from(passed_over).unwrap_or(usize::MAX);
        let fresh = bytes.get(passed_over..).unwrap_or_default();
        if upload.bytes.len() + fresh.len() > upload.size_bytes {
            return Err(Error::new(Code::Limit, "the upload is longer than it said"));
        }
        upload.bytes.extend_from_slice(fresh);
        upload.touched = self.clock.now();
        Ok(Upload { received_bytes: upload.bytes.len() as u64, complete: false })
    }

    /// The bytes of an upload that is whole; the upload is over, whatever becomes of them.
    ///
    /// # Errors
    /// `not_found` when no upload was begun, `conflict` when it is not whole (it goes on), `malformed` when the bytes
    /// have another hash.
    pub fn finish(&self, hash: ContentHash) -> Result<Vec<u8>, Error> {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(upload) = uploads.get(&hash) else {
            return Err(Error::new(Code::NotFound, "no such upload was begun, or it rested too long"));
        };
        if upload.bytes.len() < upload.size_bytes {
            return Err(Error::new(Code::Conflict, format!("the upload has only {} bytes", upload.bytes.len())));
        }
        let bytes = uploads.remove(&hash).map(|upload| upload.bytes).unwrap_or_default();
        drop(uploads);
        if ContentHash::of(&bytes) != hash {
            return Err(Error::new(Code::Malformed, "the uploaded bytes have another hash"));
        }
        Ok(bytes)
    }

    /// Takes back an upload that was whole and could not be kept; where too many are open it is over.
    pub(crate) fn put_back(&self, hash: ContentHash, bytes: Vec<u8>) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if uploads.len() < UPLOADS_MAX {
            let (size_bytes, touched) = (bytes.len(), self.clock.now());
            uploads.entry(hash).or_insert(Uploading { bytes, size_bytes, touched });
        }
    }

    /// The blobs that are here.
    pub fn hashes(&self) -> Vec<ContentHash> {
        let names = self.disk.list(FOLDER).unwrap_or_default();
        names.iter().filter_map(|name| hash_of(name)).collect()
    }

    /// Whether a blob is here, and not found damaged.
    pub fn has(&self, hash: &ContentHash) -> bool {
        !self.damaged().contains(hash) && self.disk.open(&path(hash), OpenMode::Read).is_ok()
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeSet<ContentHash>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a blob: on disk, synced, before this returns. Blocks.
    ///
    /// # Errors
    /// `limit` when the blobs take too much, `busy` when the disk is full, `fatal` when it failed.
    pub(crate) fn keep(&self, hash: &ContentHash, bytes: &[u8], planted: Planted) -> Result<(), Error> {
        if self.has(hash) {
            return Ok(());
        }
        let kept = self.write(hash, bytes, planted);
        kept.map_err(|error| match error {
            KeepError::TooMuch => {
                Error::new(Code::Limit, format!("the node keeps at most {BLOBS_BYTES_MAX} bytes of blobs"))
            }
            KeepError::Disk(DiskError::Full { .. }) => Error::new(Code::Busy, "the node's disk is full"),
            KeepError::Disk(error) => Error::new(Code::Fatal, format!("the node's disk failed: {error}")),
        })
    }

    fn write(&self, hash: &ContentHash, bytes: &[u8], planted: Planted) -> Result<(), KeepError> {
        let mut total = bytes.len() as u64;
        for name in self.disk.list(FOLDER)? {
            total += self.disk.open(&format!("{FOLDER}/{name}"), OpenMode::Read)?.len()?;
        }
        if total > BLOBS_BYTES_MAX {
            return Err(KeepError::TooMuch);
        }
        let (path, draft) = (path(hash), format!("{}{DRAFT}", path(hash)));
        let file = self.disk.open(&draft, OpenMode::CreateNew)?;
        let synced = |()| if planted.has(Bug::BlobUnsynced) { Ok(()) } else { file.sync() };
        let written = file.write_at(0, bytes).and_then(synced);
        if let Err(error) = written {
            // What was begun is removed, so that a full disk gets its space back.
            let _ = self.disk.remove(&draft);
            return Err(error.into());
        }
        self.disk.rename(&draft, &path)?;
        self.disk.sync_dir(FOLDER)?;
        self.damaged().remove(hash);
        Ok(())
    }

    /// The bytes of a blob, checked against its hash. Blocks.
    ///
    /// # Errors
    /// `not_found` when it is not here, `damaged` when what is here is: to publish it again replaces it.
    pub fn read(&self, hash: &ContentHash) -> Result<Vec<u8>, Error> {
        let read = || -> Result<Vec<u8>, DiskError> {
            let file = self.disk.open(&path(hash), OpenMode::Read)?;
            let mut bytes = vec![0; usize::try_from(file.len()?.min(COMPONENT_BYTES_MAX)).unwrap_or(0)];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) if ContentHash::of(&bytes) == *hash => Ok(bytes),
            Ok(_) => {
                self.damaged().insert(*hash);
                Err(Error::new(Code::Damaged, format!("the blob {hash} is damaged; `isx publish` replaces it")))
            }
            Err(error) => Err(unread(hash, error)),
        }
    }

    /// The bytes of a blob from `offset`, at most `CHUNK_BYTES_MAX`, and how many the whole has. The whole is checked at
    /// offset 0 alone: each part would else cost the reading of all. Blocks.
    ///
    /// # Errors
    /// As [`Blobs::read`].
    pub fn part(&self, hash: &ContentHash, offset: u64) -> Result<(Vec<u8>, u64), Error> {
        if offset == 0 {
            let mut bytes = self.read(hash)?;
            let size = bytes.len() as u64;
            bytes.truncate(CHUNK_BYTES_MAX);
            return Ok((bytes, size));
        }
        let read = || -> Result<(Vec<u8>, u64), DiskError> {
            let file = self.disk.open(&path(hash), OpenMode::Read)?;
            let size = file.len()?;
            let rest = size.saturating_sub(offset).min(CHUNK_BYTES_MAX as u64);
            let mut bytes = vec![0; usize::try_from(rest).unwrap_or(0)];
            file.read_at(offset.min(size), &mut bytes)?;
            Ok((bytes, size))
        };
        read().map_err(|error| unread(hash, error))
    }
}

/// Why a blob was not read.
fn unread(hash: &ContentHash, error: DiskError) -> Error {
    match error {
        DiskError::NotFound { .. } => Error::new(Code::NotFound, format!("no blob {hash} was published")),
        error => Error::new(Code::Fatal, format!("the blob {hash}: {error}")),
    }
}

enum KeepError {
    TooMuch,
    Disk(DiskError),
}

impl From<DiskError> for KeepError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// The hash that a file's name is.
fn hash_of(name: &str) -> Option<ContentHash> {
    let digits = name.as_bytes();
    let mut bytes = [0; 33];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    let (algorithm, digest) = bytes.split_first()?;
    Some(ContentHash { algorithm: *algorithm, digest: digest.try_into().ok()? })
}

fn path(hash: &ContentHash) -> String {
    format!("{FOLDER}/{hash}")
}

#[cfg(test)]
#[cfg(feature = "real")]
mod tests {
    use super::*;
    use crate::real::Folder;
    use futures::future::BoxFuture;
    use isx_port::WallTime;
    use std::time::Duration;

    struct Still(Mutex<Instant>);

    impl Clock for Still {
        fn now(&self) -> Instant {
            *self.0.lock().unwrap()
        }
        fn wall(&self) -> WallTime {
            WallTime::default()
        }
        fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    fn blobs() -> (Blobs, Arc<Still>, tempfile::TempDir) {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(Still(Mutex::default()));
        (Blobs::open(Arc::new(Folder::new(root.path())), clock.clone()).unwrap(), clock, root)
    }

    fn code<T>(result: Result<T, Error>) -> Code {
        result.err().expect("an error").code
    }

    #[test]
    fn an_upload_in_pieces_becomes_a_blob_that_survives() {
        let (blobs, clock, root) = blobs();
        let bytes = vec![7; 1000];
        let hash = ContentHash::of(&bytes);
        assert!(!blobs.begin(hash, 1000).unwrap().complete);
        blobs.put(hash, 0, &bytes[..600]).unwrap();
        assert_eq!(code(blobs.finish(hash)), Code::Conflict, "not whole");
        assert_eq!(code(blobs.put(hash, 700, &bytes[700..])), Code::Conflict, "a gap");
        assert_eq!(blobs.put(hash, 500, &bytes[500..]).unwrap().received_bytes, 1000, "an overlap");
        assert_eq!(code(blobs.put(hash, 1000, b"x")), Code::Limit);
        let whole = blobs.finish(hash).unwrap();
        blobs.put_back(hash, whole);
        let whole = blobs.finish(hash).expect("it could not be kept, and is asked again");
        blobs.keep(&hash, &whole, Planted::NONE).unwrap();
        drop(blobs);

        let again = Blobs::open(Arc::new(Folder::new(root.path())), clock).unwrap();
        assert!(again.begin(hash, 1000).unwrap().complete);
        assert_eq!(again.read(&hash).unwrap(), bytes);
        assert_eq!(again.hashes(), [hash]);
    }

    #[test]
    fn wrong_bytes_and_damaged_files_are_told() {
        let (blobs, _, root) = blobs();
        let hash = ContentHash::of(b"right");
        blobs.begin(hash, 5).unwrap();
        blobs.put(hash, 0, b"wrong").unwrap();
        assert_eq!(code(blobs.finish(hash)), Code::Malformed);
        assert_eq!(code(blobs.finish(hash)), Code::NotFound, "the upload is over");

        blobs.keep(&hash, b"right", Planted::NONE).unwrap();
        std::fs::write(root.path().join(path(&hash)), b"righd").unwrap();
        assert_eq!(code(blobs.read(&hash)), Code::Damaged);
        assert!(!blobs.has(&hash), "as if it were not here");
        blobs.keep(&hash, b"right", Planted::NONE).unwrap();
        assert_eq!(blobs.read(&hash).unwrap(), b"right");
        assert_eq!(code(blobs.read(&ContentHash::of(b"other"))), Code::NotFound);
    }

    #[test]
    fn a_blob_is_read_in_parts_and_checked_at_the_first() {
        let (blobs, _, root) = blobs();
        let bytes: Vec<u8> = (0..2 * CHUNK_BYTES_MAX + 10).map(|at| (at % 251) as u8).collect();
        let (hash, size) = (ContentHash::of(&bytes), bytes.len() as u64);
        blobs.keep(&hash, &bytes, Planted::NONE).unwrap();
        let (mut whole, mut parts) = (Vec::new(), 0);
        while (whole.len() as u64) < size {
            let (part, told) = blobs.part(&hash, whole.len() as u64).unwrap();
            assert!(told == size && !part.is_empty() && part.len() <= CHUNK_BYTES_MAX);
            whole.extend(part);
            parts += 1;
        }
        assert_eq!((whole == bytes, parts), (true, 3));
        for beyond in [size, size + 1, u64::MAX] {
            assert_eq!(blobs.part(&hash, beyond).unwrap(), (Vec::new(), size));
        }
        assert_eq!(code(blobs.part(&ContentHash::of(b"other"), 0)), Code::NotFound);
        assert_eq!(code(blobs.part(&ContentHash::of(b"other"), 9)), Code::NotFound);
        let mut changed = bytes;
        changed[CHUNK_BYTES_MAX + 1] ^= 1;
        std::fs::write(root.path().join(path(&hash)), changed).unwrap();
        assert_eq!(code(blobs.part(&hash, 0)), Code::Damaged);
    }

    #[test]
    fn uploads_are_bounded_and_forgotten_when_they_rest() {
        let (blobs, clock, _root) = blobs();
        for n in 0..UPLOADS_MAX {
            blobs.begin(ContentHash::of(&[n as u8]), 10).unwrap();
        }
        let one_more = ContentHash::of(b"one more");
        assert_eq!(code(blobs.begin(one_more, 10)), Code::Busy);
        *clock.0.lock().unwrap() = Instant::from_origin(UPLOAD_REST_MAX + Duration::from_secs(1));
        blobs.begin(one_more, 10).unwrap();
        assert_eq!(code(blobs.begin(one_more, COMPONENT_BYTES_MAX + 1)), Code::Limit);
    }
}
