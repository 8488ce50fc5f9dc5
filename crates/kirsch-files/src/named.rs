//! Files that an application names instead of sending them itself: `X-Sendfile`.
//!
//! The application decides who may have a file, and says where it lies; the server sends it, with ranges and
//! conditions, and no thread of the application's waits for the client. What it may name is the operator's to say:
//! an application that can be talked into naming a file (`X-Sendfile: /etc/passwd`) gives away no other.

use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use kirsch_http::{EntityTag, FieldName, HttpDate, LastModified, ResponseHead, Validators};
use kirsch_server::Exchange;

use crate::asked::{Answer, Asked};
use crate::cache::Entry;
use crate::files::{Files, FilesError};
use crate::options::{Dotfiles, FilesOptions};
use crate::path::PlainPath;
use crate::representation::{Content, Representation, Sendable, add};
use crate::send::send;

/// The folders whose files an application may name.
#[derive(Debug)]
pub struct NamedFiles {
    folders: Vec<Files>,
}

/// Why a file that was named is not sent. Nothing was sent then.
#[derive(Debug)]
pub enum NamedError {
    /// The path is not absolute, holds `..`, or lies in none of the folders.
    Outside,
    /// There is no such file, or none that may be read.
    Missing,
    /// The system is in trouble.
    System(io::Error),
}

impl NamedFiles {
    /// Opens the folders. Symbolic links in them may not lead out.
    ///
    /// # Errors
    ///
    /// If one of them cannot be served.
    pub fn new(folders: &[PathBuf]) -> Result<NamedFiles, FilesError> {
        let open = |folder: &PathBuf| {
            Files::new(FilesOptions {
                // The application has said everything about the response.
                index: Vec::new(),
                precompressed: Vec::new(),
                immutable_hashed: false,
                charset: None,
                dotfiles: Dotfiles::Served,
                ..FilesOptions::new(folder)
            })
        };
        Ok(NamedFiles {
            folders: folders.iter().map(open).collect::<Result<_, _>>()?,
        })
    }

    /// Sends the file at an absolute path with the head that the application gave.
    ///
    /// Its fields stay as they are, but for `Content-Length` and what else describes the bytes on the wire. What it has
    /// not said is added: `Content-Type` by the name, `ETag`, `Last-Modified`. A response with status 200 is subject to
    /// the request's conditions and ranges, compared with the application's validators where it gave some; with any
    /// other status the file is sent whole.
    ///
    /// # Errors
    ///
    /// [`NamedError`]; then the exchange has not begun.
    pub fn send(
        &self,
        exchange: &mut Exchange,
        given: &ResponseHead,
        path: &Path,
    ) -> Result<(), NamedError> {
        let entry = self.find(path)?;
        let named = Named::new(given, entry.resource.plain());
        let answer = match given.status_code() {
            200 => Asked::of(exchange.request()).answer(&named),
            _ => Answer::Whole,
        };
        send(exchange, &named, answer);
        Ok(())
    }

    fn find(&self, path: &Path) -> Result<Arc<Entry>, NamedError> {
        // A dot, or a slash too many, means nothing; going up means that somebody else has made the path.
        let goes_up = path.components().any(|part| part == Component::ParentDir);
        if goes_up || !path.is_absolute() {
            return Err(NamedError::Outside);
        }
        let mut below = self
            .folders
            .iter()
            .filter_map(|files| Some((files, path.strip_prefix(files.root()).ok()?)))
            .peekable();
        below.peek().ok_or(NamedError::Outside)?;
        for (files, rest) in below {
            let Some(plain) = PlainPath::of_components(rest) else {
                continue;
            };
            if let Some(entry) = files.file(&plain).map_err(NamedError::System)? {
                return Ok(entry);
            }
        }
        Err(NamedError::Missing)
    }
}

/// A file with what the application says of it.
struct Named<'a> {
    given: &'a ResponseHead,
    file: &'a Representation,
    media_type: String,
    /// The application's own, if there is one.
    etag: Option<&'a [u8]>,
    last_modified: Option<&'a [u8]>,
}

impl<'a> Named<'a> {
    fn new(given: &'a ResponseHead, file: &'a Representation) -> Named<'a> {
        let value = |wanted: &[u8]| {
            let mut fields = given.fields();
            fields
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value)
        };
        Named {
            given,
            file,
            media_type: match value(b"Content-Type") {
                Some(given) => String::from_utf8_lossy(given).into_owned(),
                None => file.media_type.clone(),
            },
            etag: value(b"ETag"),
            last_modified: value(b"Last-Modified"),
        }
    }

    /// A head with this status and those of the application's fields that `keeps` wants.
    fn head(&self, status: &[u8], keeps: impl Fn(&[u8]) -> bool) -> ResponseHead {
        let mut head = ResponseHead::new();
        // Status and fields have been taken before.
        let _ = head.status(status);
        for (name, value) in self.given.fields().filter(|(name, _)| keeps(name)) {
            let _ = head.field(name, value);
        }
        if self.given.wants_close() {
            let _ = head.field(b"Connection", b"close");
        }
        if self.etag.is_none() {
            add(&mut head, b"ETag", self.file.etag.as_bytes());
        }
        head
    }

    fn add_last_modified(&self, head: &mut ResponseHead) {
        if let (None, Some(modified)) = (self.last_modified, self.file.last_modified) {
            add(head, b"Last-Modified", modified.date.to_text().as_bytes());
        }
    }
}

impl Sendable for Named<'_> {
    fn content(&self) -> &Content {
        &self.file.content
    }

    fn media_type(&self) -> &str {
        &self.media_type
    }

    fn validators(&self) -> Validators<'_> {
        let own = self.file.validators();
        Validators {
            etag: match self.etag {
                Some(etag) => EntityTag::parse(etag),
                None => own.etag,
            },
            last_modified: match self.last_modified {
                Some(date) => HttpDate::parse(date).map(|date| LastModified {
                    date,
                    // Nobody but the application knows what changes within this second.
                    is_strong: false,
                }),
                None => own.last_modified,
            },
        }
    }

    fn whole_head(&self) -> ResponseHead {
        let mut head = self.head(self.given.status_text(), |name| !describes_wire(name));
        add(&mut head, b"Content-Type", self.media_type.as_bytes());
        let len = self.file.content.len().to_string();
        add(&mut head, b"Content-Length", len.as_bytes());
        self.add_last_modified(&mut head);
        if self.given.status_code() == 200 {
            add(&mut head, b"Accept-Ranges", b"bytes");
        }
        head
    }

    fn partial_head(&self) -> ResponseHead {
        let mut head = self.head(b"206 Partial Content", |name| !describes_wire(name));
        self.add_last_modified(&mut head);
        head
    }

    fn not_modified_head(&self) -> ResponseHead {
        let describes_content = |name: &[u8]| {
            let starts = name
                .get(..8)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"Content-"));
            starts && FieldName::from_bytes(name) != FieldName::ContentLocation
        };
        let status = b"304 Not Modified";
        self.head(status, |name| {
            !describes_wire(name) && !describes_content(name)
        })
    }
}

/// Fields that the file's bytes decide, and `Content-Type`, which stands there once however it is known.
fn describes_wire(name: &[u8]) -> bool {
    let decided: [&[u8]; 4] = [
        b"Content-Length",
        b"Content-Range",
        b"Content-Type",
        b"Accept-Ranges",
    ];
    decided.iter().any(|it| it.eq_ignore_ascii_case(name))
}

impl fmt::Display for NamedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedError::Outside => {
                f.write_str("the file lies in none of the folders that may be named")
            }
            NamedError::Missing => f.write_str("there is no such file"),
            NamedError::System(err) => write!(f, "the file cannot be read: {err}"),
        }
    }
}

impl std::error::Error for NamedError {}
