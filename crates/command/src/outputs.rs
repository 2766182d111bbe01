//! Documents on their way out: to files, devices and standard output.
//!
//! What it is: writing that either leaves a whole file or says why not. What it is not: it makes no document.
//!
//! Invariant: a regular file is written under a temporary name, synced and renamed, so that nobody ever reads half
//! a document; what is not a regular file (a device, a pipe) is written in place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Sink;

/// A document that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {place}: {source}")]
pub struct OutputError {
    /// Where it was to go.
    pub place: String,
    /// What the system said.
    pub source: io::Error,
}

/// Writes a whole document.
///
/// # Errors
/// The document is not there, and no half of it either.
pub fn write(sink: &Sink, text: &str) -> Result<(), OutputError> {
    write_by(sink, |out| out.write_all(text.as_bytes()))
}

/// Writes a whole document that `body` writes piece by piece.
///
/// # Errors
/// The document is not there, and no half of it either.
pub fn write_by(sink: &Sink, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
    match sink {
        Sink::Stdout => {
            let mut stdout = io::stdout().lock();
            body(&mut stdout)
                .and_then(|()| stdout.write_all(b"\n"))
                .and_then(|()| stdout.flush())
                .map_err(|source| OutputError { place: "standard output".to_owned(), source })
        }
        Sink::File(path) => {
            write_file(path, body).map_err(|source| OutputError { place: path.display().to_string(), source })
        }
    }
}

fn write_file(path: &Path, body: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let mut device = OpenOptions::new().write(true).open(path)?;
        body(&mut device)?;
        device.write_all(b"\n")?;
        return device.flush();
    }
    let temporary = temporary_name(path);
    let written = (|| {
        let mut file = File::create(&temporary)?;
        body(&mut file)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The first error is the one to tell; a leftover may never have been made.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// A document that grows by a line a second.
#[derive(Debug)]
pub struct Lines {
    place: String,
    writer: Option<Writer>,
    failure: Option<io::Error>,
}

#[derive(Debug)]
enum Writer {
    Stdout,
    File(File),
}

impl Lines {
    /// Opens the sink, so that a wrong path is refused before the run.
    ///
    /// # Errors
    /// The sink cannot be opened for writing.
    pub fn open(sink: &Sink) -> Result<Self, OutputError> {
        let (place, writer) = match sink {
            Sink::Stdout => ("standard output".to_owned(), Writer::Stdout),
            Sink::File(path) => {
                let place = path.display().to_string();
                match File::create(path) {
                    Ok(file) => (place, Writer::File(file)),
                    Err(source) => return Err(OutputError { place, source }),
                }
            }
        };
        Ok(Self { place, writer: Some(writer), failure: None })
    }

    /// Appends a line. After the first failure nothing more is written; [`Lines::close`] tells it.
    pub fn line(&mut self, text: &str) {
        let result = match &mut self.writer {
            None => return,
            Some(Writer::Stdout) => {
                let mut stdout = io::stdout().lock();
                stdout
                    .write_all(text.as_bytes())
                    .and_then(|()| stdout.write_all(b"\n"))
                    .and_then(|()| stdout.flush())
            }
            Some(Writer::File(file)) => {
                // One write for each line, so that a reader who follows the file sees whole lines.
                let mut line = String::with_capacity(text.len() + 1);
                line.push_str(text);
                line.push('\n');
                file.write_all(line.as_bytes())
            }
        };
        if let Err(error) = result {
            self.writer = None;
            self.failure = Some(error);
        }
    }

    /// Ends the document.
    ///
    /// # Errors
    /// Something was not written.
    pub fn close(mut self) -> Result<(), OutputError> {
        if let Some(Writer::File(file)) = &self.writer
            && let Err(error) = file.sync_all()
            // Devices and pipes have nothing to sync.
            && error.kind() != io::ErrorKind::InvalidInput
        {
            self.failure.get_or_insert(error);
        }
        match self.failure.take() {
            None => Ok(()),
            Some(source) => Err(OutputError { place: self.place, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("openloop-outputs-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder can be made");
        folder
    }

    #[test]
    fn a_file_is_whole_and_nothing_else_is_left() {
        let folder = folder("whole");
        let path = folder.join("summary.json");
        write(&Sink::File(path.clone()), "{}").expect("it can be written");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "{}\n");
        assert_eq!(fs::read_dir(&folder).expect("the folder is there").count(), 1);
        fs::remove_dir_all(folder).expect("the folder can be removed");
    }

    #[test]
    fn a_full_device_is_told() {
        let error = write(&Sink::File("/dev/full".into()), "{}").expect_err("it is full");
        assert!(error.to_string().contains("/dev/full"), "{error}");
        let mut lines = Lines::open(&Sink::File("/dev/full".into())).expect("it opens");
        lines.line("{}");
        assert!(lines.close().is_err());
    }

    #[test]
    fn a_folder_that_is_missing_is_told() {
        let path = PathBuf::from("/nonexistent/openloop/summary.json");
        assert!(write(&Sink::File(path.clone()), "{}").is_err());
        assert!(Lines::open(&Sink::File(path)).is_err());
    }
}
