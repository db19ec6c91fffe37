//! The transcript of a mount, written where `isx test` says, which does the same again in WebAssembly.

use crate::limits::TRANSCRIPT_BYTES_MAX;
use isx_row::ContentHash;
use isx_row::schema::Schema;
use isx_store::transcript::{Head, Step};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that names the folder; without it nothing is written.
const FOLDER: &str = "ISX_TEST_TRANSCRIPTS";

/// A transcript under way.
pub(crate) struct Journal {
    file: BufWriter<File>,
    left_bytes: usize,
}

impl Journal {
    /// Begins one, where it is wanted.
    ///
    /// # Panics
    /// When it can not be written: what is not in it is not compared.
    pub(crate) fn begin(schema: &Schema) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = PathBuf::from(std::env::var_os(FOLDER)?);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{count:08}", std::process::id()));
        let file = File::create_new(&path).unwrap_or_else(|error| panic!("can not make {}: {error}", path.display()));
        let schema = schema.encode().unwrap_or_else(|error| panic!("the schema is refused: {error}"));
        let head = Head {
            test: std::thread::current().name().unwrap_or_default().into(),
            // Cargo says it to the tests that it runs.
            package: std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default(),
            schema: ContentHash::of(&schema),
        };
        let mut journal = Self { file: BufWriter::new(file), left_bytes: TRANSCRIPT_BYTES_MAX };
        journal.write(&head.encode());
        Some(journal)
    }

    /// Adds a step, or, where it would be too long, that it was cut there.
    pub(crate) fn add(&mut self, step: &Step) {
        let bytes = step.encode();
        match self.left_bytes.checked_sub(bytes.len()) {
            Some(left) => {
                self.left_bytes = left;
                self.write(&bytes);
            }
            None if self.left_bytes > 0 => {
                self.left_bytes = 0;
                self.write(&Step::Cut.encode());
            }
            None => {}
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).unwrap_or_else(|error| panic!("can not write the transcript of the test: {error}"));
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let written = self.file.flush();
        // A test that fails already says why.
        assert!(written.is_ok() || std::thread::panicking(), "can not write the transcript of the test: {written:?}");
    }
}
