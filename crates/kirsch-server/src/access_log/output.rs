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
        })
    }

    /// Opens the file at its path again. If that fails, the old file is kept: its lines are not lost.
    pub(super) fn reopen(&mut self) {
        let Sink::File { path, file } = &mut self.sink else {
            return;
        };
        match open_file(path) {
            Ok(new) => *file = new,
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
            Sink::File { file, .. } => file.write_all(lines),
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

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
