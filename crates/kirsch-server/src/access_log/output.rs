//! Where the lines go: standard output or a file, which can be opened again after it was renamed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tracing::error;

use super::AccessLogError;
use crate::reason::reason;

/// An open log. Used by the writer's thread only.
pub(super) struct Output {
    sink: Sink,
    /// The last write failed, and that was said.
    failing: bool,
    /// The file ends within a line, of which the rest could not be written.
    torn: bool,
}

enum Sink {
    Stdout,
    File { path: PathBuf, file: File },
}

impl Output {
    /// Opens a file to append to, or standard output.
    pub(super) fn open(path: Option<PathBuf>) -> Result<Output, AccessLogError> {
        let sink = match path {
            Some(path) => Sink::File {
                file: open_file(&path).map_err(|err| AccessLogError::of_file(&path, err))?,
                path,
            },
            None => Sink::Stdout,
        };
        Ok(Output {
            sink,
            failing: false,
            torn: false,
        })
    }

    /// Opens the file at its path again. If that fails, the old file is kept: its lines are not lost.
    pub(super) fn reopen(&mut self) {
        let Sink::File { path, file } = &mut self.sink else {
            return;
        };
        match open_file(path) {
            Ok(new) => {
                *file = new;
                self.torn = false;
            }
            Err(err) => {
                error!(err = reason(&err), path = %path.display(), "cannot open the access log again; the old file is kept");
            }
        }
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let written = match &mut self.sink {
            Sink::File { file, .. } => write_lines(file, lines, &mut self.torn),
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines).and_then(|()| stdout.flush())
            }
        };
        match written {
            Ok(()) => self.failing = false,
            // Once, not for each of thousands of lines.
            Err(err) if !self.failing => {
                self.failing = true;
                error!(err = reason(&err), to = %self.place(), "cannot write the access log");
            }
            Err(_) => {}
        }
    }

    fn place(&self) -> std::path::Display<'_> {
        match &self.sink {
            Sink::Stdout => Path::new("standard output").display(),
            Sink::File { path, .. } => path.display(),
        }
    }
}

/// Writes whole lines. If a disk was full within one, what follows later begins a line of its own.
fn write_lines(sink: &mut impl Write, mut lines: &[u8], torn: &mut bool) -> io::Result<()> {
    if *torn {
        sink.write_all(b"\n")?;
        *torn = false;
    }
    while !lines.is_empty() {
        match sink.write(lines) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                *torn = lines.get(count - 1) != Some(&b'\n');
                lines = lines.get(count..).unwrap_or_default();
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        room: usize,
        content: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_has_torn_swallows_no_other() {
        let mut disk = Disk {
            room: 8,
            content: Vec::new(),
        };
        let mut torn = false;
        assert!(write_lines(&mut disk, b"first\nsecond\n", &mut torn).is_err());
        assert!(write_lines(&mut disk, b"third\n", &mut torn).is_err());
        disk.room = 100;
        assert!(write_lines(&mut disk, b"fourth\n", &mut torn).is_ok());
        assert!(write_lines(&mut disk, b"fifth\n", &mut torn).is_ok());
        assert_eq!(disk.content, b"first\nse\nfourth\nfifth\n");
    }
}
