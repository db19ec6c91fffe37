//! Lines that a call logs: bounded, and harmless on a terminal.

use crate::limits::{LOG_BYTES_MAX, LOG_LINE_BYTES_MAX, LOG_LINES_MAX};

/// The lines of one call.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Vec<(u8, String)>,
    bytes: usize,
    left_out: usize,
}

/// The level of the line that says how many were left out: a warning.
const LEFT_OUT_LEVEL: u8 = 2;

impl Log {
    /// Adds a line. Control characters are taken out of it, so that it stays one line and steers no terminal.
    pub(crate) fn write(&mut self, level: u8, text: &str) {
        let mut text = cut(text, LOG_LINE_BYTES_MAX);
        if self.lines.len() >= LOG_LINES_MAX || self.bytes + text.len() > LOG_BYTES_MAX {
            self.left_out += 1;
            return;
        }
        let harmless = |c: char| match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        // What stands for a control character is longer than it.
        let replaced: String = text.chars().map(harmless).collect();
        text = cut(&replaced, LOG_LINE_BYTES_MAX.min(LOG_BYTES_MAX - self.bytes));
        self.bytes += text.len();
        self.lines.push((level, text.to_owned()));
    }

    /// The lines, and one more for those that were left out.
    pub(crate) fn into_lines(mut self) -> Vec<(u8, String)> {
        if self.left_out > 0 {
            let text =
                format!("{} more lines of this call were left out: LOG_LINES_MAX or LOG_BYTES_MAX", self.left_out);
            self.lines.push((LEFT_OUT_LEVEL, text));
        }
        self.lines
    }
}

/// The longest beginning of `text` within so many bytes.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_say_so() {
        let mut log = Log::default();
        log.write(1, "red \u{1b}[31m\nnext");
        log.write(3, &"ä".repeat(LOG_LINE_BYTES_MAX));
        (0..LOG_LINES_MAX).for_each(|_| log.write(3, "x"));
        let lines = log.into_lines();
        assert_eq!(lines[0], (1, "red \u{fffd}[31m next".to_owned()));
        assert_eq!(lines[1].1.len(), LOG_LINE_BYTES_MAX);
        assert_eq!(lines.len(), LOG_LINES_MAX + 1);
        let mut log = Log::default();
        (0..LOG_LINES_MAX).for_each(|_| log.write(3, &"\0".repeat(LOG_LINE_BYTES_MAX)));
        let bytes: usize = log.into_lines().iter().map(|(_, line)| line.len()).sum();
        assert!(bytes < LOG_BYTES_MAX + 100, "{bytes}");
        assert_eq!(lines[LOG_LINES_MAX].1, "2 more lines of this call were left out: LOG_LINES_MAX or LOG_BYTES_MAX");
    }
}
