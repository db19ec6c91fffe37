//! Frames on a stream between nodes: magic, version, kind, group, length, checksum, contents.

use crate::limits;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::io;

/// What each frame begins with.
const MAGIC: [u8; 4] = *b"isxR";
/// The version of the frames; others are refused.
const VERSION: u8 = 1;
/// Magic, version, kind, group, length, checksum.
const HEADER_BYTES: usize = 4 + 1 + 1 + 8 + 4 + 4;

/// A message on its way, for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) group: u64,
    pub(crate) kind: u8,
    pub(crate) contents: Vec<u8>,
}

/// Why a stream yields no further frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the stream broke")]
    Io(#[from] io::Error),
    #[error("not a frame")]
    Magic,
    #[error("frames of version {0}")]
    Version(u8),
    #[error("a frame of {0} bytes")]
    Length(usize),
    #[error("a damaged frame")]
    Checksum,
}

impl Frame {
    /// The whole frame, so that it leaves in one write.
    ///
    /// # Errors
    /// Contents longer than a frame may be.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let length = self.contents.len();
        if length > limits::FRAME_BYTES_MAX {
            return Err(FrameError::Length(length));
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, self.kind]);
        bytes.extend_from_slice(&self.group.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes), &self.contents);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(&self.contents);
        Ok(bytes)
    }

    /// Writes the frame.
    ///
    /// # Cancel safety
    /// None: a stream whose write was dropped must be dropped too.
    pub(crate) async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> Result<(), FrameError> {
        stream.write_all(&self.encode()?).await?;
        stream.flush().await?;
        Ok(())
    }

    /// Reads the next frame; `None` when the stream ends between two.
    ///
    /// # Cancel safety
    /// None: a stream whose read was dropped must be dropped too.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, FrameError> {
        let mut header = [0; HEADER_BYTES];
        if stream.read(&mut header[..1]).await? == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut header[1..]).await?;
        let [m0, m1, m2, m3, version, kind, rest @ ..] = header;
        let [g0, g1, g2, g3, g4, g5, g6, g7, l0, l1, l2, l3, c0, c1, c2, c3] = rest;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(FrameError::Magic);
        }
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > limits::FRAME_BYTES_MAX {
            return Err(FrameError::Length(length));
        }
        let mut contents = vec![0; length];
        stream.read_exact(&mut contents).await?;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&header[..HEADER_BYTES - 4]), &contents);
        if checksum != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(FrameError::Checksum);
        }
        Ok(Some(Self { group: u64::from_le_bytes([g0, g1, g2, g3, g4, g5, g6, g7]), kind, contents }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use futures::FutureExt;
    use futures::io::Cursor;

    fn frame() -> Frame {
        Frame { group: 1, kind: 2, contents: vec![3, 4] }
    }

    fn check(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        Frame::read(&mut Cursor::new(bytes)).now_or_never().expect("memory does not wait")
    }

    #[test]
    fn vector() {
        let bytes = frame().encode().expect("short enough");
        expect!["697378520102010000000000000002000000920eb4ec0304"]
            .assert_eq(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(check(&bytes).expect("its own bytes"), Some(frame()));
        assert_eq!(check(&[]).expect("an ended stream"), None);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = frame().encode().expect("short enough");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&damaged).is_err(), "bit {bit}");
        }
        for cut in 1..bytes.len() {
            assert!(check(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_long_frame_is_refused_before_it_is_read() {
        let mut bytes = frame().encode().expect("short enough");
        bytes[14..18].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(check(&bytes), Err(FrameError::Length(_))));
    }
}
