//! A call's random stream: the same on every replica, different for each call of an entry, wherever lists are cut.

use isx_store::EntryContext;

/// The stream, from its beginning; made when it is first asked.
#[derive(Clone)]
pub(crate) struct Random {
    seed: [u8; 32],
    place: u64,
    reader: Option<Box<blake3::OutputReader>>,
}

impl Random {
    /// The stream of the call at `place` in the entry: BLAKE3, keyed with the entry's seed, of a label and the place.
    pub(crate) fn new(entry: &EntryContext, place: u64) -> Self {
        Self { seed: entry.seed, place, reader: None }
    }

    /// The next bytes.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        let reader = self.reader.get_or_insert_with(|| {
            let mut hasher = blake3::Hasher::new_keyed(&self.seed);
            hasher.update(b"isx:random\0").update(&self.place.to_le_bytes());
            Box::new(hasher.finalize_xof())
        });
        reader.fill(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::Time;

    #[test]
    fn the_stream_is_the_calls_own() {
        let entry = EntryContext { time: Time(0), seed: [7; 32] };
        let take = |place, cuts: &[usize]| {
            let mut random = Random::new(&entry, place);
            let mut all = Vec::new();
            for &cut in cuts {
                let mut piece = vec![0; cut];
                random.fill(&mut piece);
                all.extend(piece);
            }
            all
        };
        assert_eq!(take(1, &[8, 1, 55]), take(1, &[64]));
        assert_ne!(take(1, &[64]), take(2, &[64]));
        // A test vector: the stream is replicated state's input and may not change.
        let hex: String = take(0, &[8]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "00f7f5fce59650c3");
    }
}
