//! The bytes of a simulated file: sparse, in shared pages, so that a copy of a disk costs little.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The smallest unit that a disk writes wholly or not at all.
pub(super) const SECTOR_BYTES: u64 = 512;
const PAGE_BYTES: u64 = 4096;
type Page = [u8; PAGE_BYTES as usize];

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    length: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

impl Content {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Zeros up to `length`, if the file is shorter.
    pub(super) fn grow(&mut self, length: u64) {
        self.length = self.length.max(length);
    }

    /// Cuts the file to `length`, or grows it.
    pub(super) fn truncate(&mut self, length: u64) {
        if length < self.length {
            self.pages.split_off(&length.div_ceil(PAGE_BYTES));
            let rest = (length % PAGE_BYTES) as usize;
            if let Some(page) = self.pages.get_mut(&(length / PAGE_BYTES)) {
                Arc::make_mut(page)[rest..].fill(0);
            }
        }
        self.length = length;
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, from, part) in parts(offset, bytes.len()) {
            let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES as usize]));
            Arc::make_mut(page)[from..from + part.len()].copy_from_slice(&bytes[part]);
        }
        self.grow(offset + bytes.len() as u64);
    }

    /// Fills `into` from `offset`; false if the file ends before.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        if offset.checked_add(into.len() as u64).is_none_or(|end| end > self.length) {
            return false;
        }
        for (page, from, part) in parts(offset, into.len()) {
            let length = part.len();
            match self.pages.get(&page) {
                Some(page) => into[part].copy_from_slice(&page[from..from + length]),
                None => into[part].fill(0),
            }
        }
        true
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length as usize];
        self.read(0, &mut bytes);
        bytes
    }
}

/// The pages that `length` bytes at `offset` touch: page, where in it, which of the bytes.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < length).then(|| {
            let at = offset + done as u64;
            let from = (at % PAGE_BYTES) as usize;
            let part = done..(done + PAGE_BYTES as usize - from).min(length);
            done = part.end;
            (at / PAGE_BYTES, from, part)
        })
    })
}
