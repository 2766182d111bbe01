//! The commands that are sent, as Redis reads them: an array of bulk strings.

use std::io::Write as _;

/// A command.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Set,
    Get,
    Incr,
}

impl Command {
    pub(crate) const ALL: [Self; 3] = [Self::Set, Self::Get, Self::Incr];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Get => "GET",
            Self::Incr => "INCR",
        }
    }

    /// Writes the command about key `number`; counters have keys of their own, because a value that is no number cannot be
    /// raised.
    pub(crate) fn write(self, number: u64, value: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Set => {
                out.extend_from_slice(b"*3\r\n$3\r\nSET\r\n");
                key(b"key:", number, out);
                bulk(value, out);
            }
            Self::Get => {
                out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n");
                key(b"key:", number, out);
            }
            Self::Incr => {
                out.extend_from_slice(b"*2\r\n$4\r\nINCR\r\n");
                key(b"counter:", number, out);
            }
        }
    }
}

fn key(prefix: &[u8], number: u64, out: &mut Vec<u8>) {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    // A Vec takes whatever is written to it.
    let _ = write!(out, "${}\r\n", prefix.len() + digits);
    out.extend_from_slice(prefix);
    let _ = write!(out, "{number}\r\n");
}

/// Writes a string.
pub(crate) fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    let _ = write!(out, "${}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_redis_reads_them() {
        for (command, number, written) in [
            (Command::Set, 0, "*3\r\n$3\r\nSET\r\n$5\r\nkey:0\r\n$2\r\nxx\r\n"),
            (Command::Get, 9, "*2\r\n$3\r\nGET\r\n$5\r\nkey:9\r\n"),
            (Command::Get, 10, "*2\r\n$3\r\nGET\r\n$6\r\nkey:10\r\n"),
            (Command::Incr, 999, "*2\r\n$4\r\nINCR\r\n$11\r\ncounter:999\r\n"),
        ] {
            let mut out = Vec::new();
            command.write(number, b"xx", &mut out);
            assert_eq!(out.escape_ascii().to_string(), written.as_bytes().escape_ascii().to_string());
        }
    }
}
