//! The state folder: files of the operating system, every path kept inside the folder.

use isx_port::{Disk, DiskError, File, OpenMode};
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Zeroes written at a time by [`File::allocate`].
static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

/// A folder on disk. Files are made with mode 0600.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`, which must exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, path: &str) -> Result<PathBuf, DiskError> {
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            let text = "the path leaves the state folder".into();
            return Err(DiskError::Io { path: path.into(), kind: io::ErrorKind::InvalidInput, text });
        }
        Ok(self.root.join(path))
    }
}

fn failed(path: &str, error: &io::Error) -> DiskError {
    let path = path.to_string();
    match error.kind() {
        io::ErrorKind::NotFound => DiskError::NotFound { path },
        io::ErrorKind::AlreadyExists => DiskError::Exists { path },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full { path },
        kind => DiskError::Io { path, kind, text: error.to_string() },
    }
}

impl Disk for Folder {
    fn open(&self, path: &str, mode: OpenMode) -> Result<Box<dyn File>, DiskError> {
        let mut options = fs::OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        let file = options.open(self.at(path)?).map_err(|error| failed(path, &error))?;
        Ok(Box::new(Opened { file, path: path.into() }))
    }

    fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        fs::create_dir_all(self.at(path)?).map_err(|error| failed(path, &error))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let entries = match fs::read_dir(self.at(dir)?) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(dir, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed(dir, &error))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        fs::rename(self.at(from)?, self.at(to)?).map_err(|error| failed(from, &error))
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        fs::remove_file(self.at(path)?).map_err(|error| failed(path, &error))
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        let folder = fs::File::open(self.at(dir)?).map_err(|error| failed(dir, &error))?;
        folder.sync_all().map_err(|error| failed(dir, &error))
    }
}

struct Opened {
    file: fs::File,
    path: String,
}

impl Opened {
    fn failed(&self, error: &io::Error) -> DiskError {
        failed(&self.path, error)
    }
}

impl File for Opened {
    fn len(&self) -> Result<u64, DiskError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|error| self.failed(&error))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_exact_at(into, offset).map_err(|error| self.failed(&error))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all_at(bytes, offset).map_err(|error| self.failed(&error))
    }

    fn allocate(&self, length: u64) -> Result<(), DiskError> {
        // Zeroes are written, not only reserved: a later write into an unwritten extent would cost a metadata flush.
        let mut offset = self.len()?;
        while offset < length {
            let step = usize::try_from(length - offset).unwrap_or(usize::MAX).min(ZEROES.len());
            self.write_at(offset, &ZEROES[..step])?;
            offset += step as u64;
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.file.set_len(length).map_err(|error| self.failed(&error))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(|error| self.failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("state");
        fs::create_dir(&root).unwrap();
        let folder = Folder::new(&root);
        for path in ["../stolen", "/etc/passwd", "a/../../stolen"] {
            assert!(folder.open(path, OpenMode::CreateNew).is_err(), "{path}");
        }
        assert!(!outside.path().join("stolen").exists());
    }

    #[test]
    fn allocated_bytes_are_zero_and_kept_bytes_stay() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path());
        let file = folder.open("segment", OpenMode::CreateNew).unwrap();
        file.write_at(0, b"head").unwrap();
        file.allocate(200_000).unwrap();
        let mut all = vec![1; 200_000];
        file.read_at(0, &mut all).unwrap();
        assert_eq!(&all[..4], b"head");
        assert!(all[4..].iter().all(|byte| *byte == 0));
        assert!(matches!(folder.open("segment", OpenMode::CreateNew), Err(DiskError::Exists { .. })));
        assert!(matches!(folder.open("other", OpenMode::Read), Err(DiskError::NotFound { .. })));
    }
}
