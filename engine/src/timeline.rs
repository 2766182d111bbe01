//! The timeline of a run: each second as it will stand in the summary, kept where it takes no memory.
//!
//! What it is: a file without a name, in the folder of the summary, to which every second is written when it is
//! complete, and from which the summary takes them all at its end. The folder must hold these bytes anyway.
//! What it is not: kept at all without `--json`, for nothing else shows a timeline.
//!
//! Invariants: memory does not grow with the run's length while the file takes what is written. Where there can be no
//! file, or it takes no more, nothing is lost of a second's figures: they are held in memory, histograms among them up to
//! [`HELD_BYTES`], and a note says so. A process that is killed leaves nothing behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use measure::{Gauges, Totals};
use report::{Second, timeline_text};
use rustix::fs::OFlags;
use schedule::Rate;

use crate::args::Sink;

/// Seconds of which the timeline keeps histograms: an hour. A longer document would be read by nobody.
const HISTOGRAM_SECONDS: u64 = 3_600;

/// Bytes of seconds held in memory up to which they keep histograms: 16 MiB.
pub const HELD_BYTES: usize = 16 << 20;

/// The seconds of a run so far.
#[derive(Debug, Default)]
pub struct Timeline {
    wanted: bool,
    file: Option<File>,
    /// Bytes of whole seconds in the file.
    filed: u64,
    /// Seconds that no file took, behind those that one did.
    held: Vec<u8>,
    seconds: u64,
    /// Why there is no file, or no more of it.
    why_held: Option<io::Error>,
    /// The first second that left its histograms out for want of a file.
    bare_from: Option<u64>,
}

impl Timeline {
    /// For a summary that goes to `sink`; nothing is kept where it goes nowhere.
    pub fn new(sink: Option<&Sink>) -> Self {
        let Some(sink) = sink else { return Self::default() };
        let temporary = std::env::temp_dir();
        let opened = match folder_of(sink) {
            Some(folder) => nameless(&folder).or_else(|_| nameless(&temporary)),
            None => nameless(&temporary),
        };
        match opened {
            Ok(file) => Self { wanted: true, file: Some(file), ..Self::default() },
            Err(error) => Self { wanted: true, why_held: Some(error), ..Self::default() },
        }
    }

    /// Adds second number `index`, in the middle of which this rate was asked for.
    pub fn push(&mut self, index: u64, totals: &Totals, gauges: Gauges, asked: Option<Rate>) {
        if !self.wanted {
            return;
        }
        let has_room = self.why_held.is_none() || self.held.len() < HELD_BYTES;
        if !has_room && index < HISTOGRAM_SECONDS {
            self.bare_from.get_or_insert(index);
        }
        let keep = has_room && index < HISTOGRAM_SECONDS;
        let second = Second {
            asked_micro_tps: asked.map(Rate::as_micro),
            ..report::second(index, totals, gauges, keep)
        };
        let text = timeline_text(&second, self.seconds == 0);
        self.seconds += 1;
        if let (Some(file), None) = (&self.file, &self.why_held) {
            match file.write_all_at(text.as_bytes(), self.filed) {
                Ok(()) => {
                    self.filed += text.len() as u64;
                    return;
                }
                Err(error) => self.why_held = Some(error),
            }
        }
        self.held.extend_from_slice(text.as_bytes());
    }

    /// How many seconds there are.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Bytes of them that are in memory.
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// They cannot be read back, or written.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
            let copied = io::copy(&mut file.take(self.filed), out)?;
            if copied != self.filed {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the timeline's file was cut short",
                ));
            }
        }
        out.write_all(&self.held)
    }

    /// What the reader of the summary must know.
    pub fn note(&self) -> Option<String> {
        let (second, why) = (self.bare_from?, self.why_held.as_ref()?);
        Some(format!(
            "the timeline has no histograms from second {second} on: it had to be held in memory ({why})"
        ))
    }
}

/// Where a summary's file will stand; `None` where it is no regular file.
fn folder_of(sink: &Sink) -> Option<PathBuf> {
    let Sink::File(path) = sink else { return None };
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return None;
    }
    let folder = path.parent()?;
    Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
}

/// A file in `folder` that has no name and is gone with the process.
fn nameless(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE.bits().cast_signed();
    let opened = private().custom_flags(flags).open(folder);
    // Not every filesystem knows files that never had a name.
    opened.or_else(|_| unnamed(folder))
}

/// The same by way of a name that is taken away at once.
fn unnamed(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".openloop-timeline.{}.tmp", std::process::id()));
    let file = private().create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// To write and to read back, for nobody else.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests;
