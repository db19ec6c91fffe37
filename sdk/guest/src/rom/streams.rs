//! Standard input and output that are awaited: while a ROM waits for a line, or for whoever reads what it writes, its calls
//! go on. What the standard library does with them holds up all of the ROM.

use super::bindings::wasi::cli::{stdin as input, stdout as output, types::ErrorCode};
use super::bindings::wit_stream;
use crate::limits::{INPUT_BYTES, LINE_BYTES_MAX};
use isx_row::{Code, Error};
use wit_bindgen::rt::async_support::{FutureReader, StreamReader, StreamResult, StreamWriter};

/// Standard input.
pub struct Stdin {
    bytes: StreamReader<u8>,
    end: Option<FutureReader<Result<(), ErrorCode>>>,
    /// Read, and part of no line yet.
    rest: Vec<u8>,
}

/// Standard output.
pub struct Stdout {
    bytes: StreamWriter<u8>,
    end: FutureReader<Result<(), ErrorCode>>,
}

/// Standard input, from where it stands.
pub fn stdin() -> Stdin {
    let (bytes, end) = input::read_via_stream();
    Stdin { bytes, end: Some(end), rest: Vec::new() }
}

/// Standard output.
pub fn stdout() -> Stdout {
    let (bytes, reader) = wit_stream::new();
    Stdout { bytes, end: output::write_via_stream(reader) }
}

fn failed(what: &str, code: ErrorCode) -> Error {
    let why = match code {
        ErrorCode::Io => "input or output failed",
        ErrorCode::IllegalByteSequence => "the bytes are of no character",
        ErrorCode::Pipe => "nobody is at the other end",
    };
    Error::new(Code::Disconnected, format!("{what}: {why}"))
}

impl Stdin {
    /// The next bytes, as many as are there; none at the end.
    ///
    /// # Errors
    /// `disconnected` when they can not be read.
    ///
    /// # Cancel safety
    /// Dropping the future may lose bytes: keep it, and poll it again.
    pub async fn read(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        self.fill().await.map(|more| more.then(|| std::mem::take(&mut self.rest)))
    }

    /// The next line, without its end; none at the end of all.
    ///
    /// # Errors
    /// As [`Stdin::read`]; `malformed` for a line that is not UTF-8, `limit` for one of more than
    /// [`LINE_BYTES_MAX`] bytes: then what is left of it comes as the next one.
    ///
    /// # Cancel safety
    /// As [`Stdin::read`].
    pub async fn line(&mut self) -> Result<Option<String>, Error> {
        let mut seen = 0;
        let line = loop {
            if let Some(at) = self.rest[seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest.drain(..=seen + at).collect::<Vec<_>>();
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                break line.strip_suffix(b"\r").unwrap_or(line).to_vec();
            }
            seen = self.rest.len();
            if seen > LINE_BYTES_MAX {
                self.rest.clear();
                let text = format!("a line of standard input has more than {LINE_BYTES_MAX} bytes");
                return Err(Error::new(Code::Limit, text));
            }
            if !self.fill().await? {
                match seen {
                    0 => return Ok(None),
                    _ => break std::mem::take(&mut self.rest),
                }
            }
        };
        let wrong = |_| Error::new(Code::Malformed, "a line of standard input is not UTF-8");
        String::from_utf8(line).map(Some).map_err(wrong)
    }

    /// Reads on; whether there was more.
    async fn fill(&mut self) -> Result<bool, Error> {
        loop {
            if self.end.is_none() {
                return Ok(false);
            }
            let (result, bytes) = self.bytes.read(Vec::with_capacity(INPUT_BYTES)).await;
            self.rest.extend_from_slice(&bytes);
            if result == StreamResult::Dropped
                && let Some(end) = self.end.take()
            {
                end.await.map_err(|code| failed("standard input", code))?;
            }
            if !bytes.is_empty() {
                return Ok(true);
            }
        }
    }
}

impl Stdout {
    /// Writes all of this; waits for the reader where that is slower.
    ///
    /// # Errors
    /// `disconnected` when it can not be written.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a part of it written.
    pub async fn write(&mut self, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        match self.bytes.write_all(bytes.into()).await.is_empty() {
            true => Ok(()),
            false => Err(failed("standard output", ErrorCode::Pipe)),
        }
    }

    /// Ends it; completes when all is written.
    ///
    /// # Errors
    /// `disconnected` when it could not be.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect on what was written.
    pub async fn end(self) -> Result<(), Error> {
        drop(self.bytes);
        self.end.await.map_err(|code| failed("standard output", code))
    }
}
