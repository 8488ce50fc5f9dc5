//! Files that an application names instead of sending them itself: `X-Sendfile` and `X-Accel-Redirect`.
//!
//! The application decides who may have a file, and says where it lies; the server sends it, with ranges and
//! conditions, and no thread of the application's waits for the client. What it may name is the operator's to say:
//! an application that can be talked into naming a file (`X-Sendfile: /etc/passwd`) gives away no other.
//!
//! `X-Sendfile` is a path of the file system, below folders that may be named, and every field of the response stays.
//! `X-Accel-Redirect` is a path of an internal route, and the same fields stay as with nginx.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use kirsch_http::{
    EntityTag, FieldName, HttpDate, LastModified, Method, ResponseHead, Validators, decode_path,
};
use kirsch_server::{Condition, Exchange, InternalRoutes, Request};

use crate::asked::{Answer, Asked};
use crate::cache::Entry;
use crate::files::{Files, FilesError};
use crate::options::{Dotfiles, FilesOptions};
use crate::path::PlainPath;
use crate::representation::{Content, Representation, Sendable, add, head_of};
use crate::send::send;

const X_SENDFILE: &str = "X-Sendfile";
const X_ACCEL_REDIRECT: &str = "X-Accel-Redirect";

/// What nginx keeps of the response that names a place, but for `Accept-Ranges`, which the file decides. Whatever
/// else speaks of the content (`ETag`, `Content-Length`, `Content-Encoding`) speaks of another one.
const KEPT: [&[u8]; 5] = [
    b"Content-Type",
    b"Content-Disposition",
    b"Cache-Control",
    b"Expires",
    b"Set-Cookie",
];

/// The files that an application may name.
#[derive(Debug, Default)]
pub struct NamedFiles {
    folders: Vec<Files>,
    internal: InternalRoutes<Files>,
}

/// What an application names in place of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A file by its absolute path: `X-Sendfile`.
    File(PathBuf),
    /// A path of an internal route, encoded as in a request; what stands behind a `?` means nothing:
    /// `X-Accel-Redirect`.
    Place(Vec<u8>),
}

/// Why a file that was named is not sent. Nothing was sent then.
#[derive(Debug)]
pub enum NamedError {
    /// The path of a file is not absolute, holds `..`, or lies in none of the folders.
    Outside,
    /// No internal route is for the place, or it holds `..`.
    Nowhere,
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
            internal: InternalRoutes::default(),
        })
    }

    /// The folder of an internal route. Of the options those count that say which files there are, and the charset.
    ///
    /// # Errors
    ///
    /// If it cannot be served.
    pub fn internal_folder(options: FilesOptions) -> Result<Files, FilesError> {
        Files::new(FilesOptions {
            index: Vec::new(),
            precompressed: Vec::new(),
            immutable_hashed: false,
            ..options
        })
    }

    /// Adds the internal routes, in the order in which they are tried, each with its folder.
    #[must_use]
    pub fn with_internal(mut self, routes: Vec<(Condition, Files)>) -> NamedFiles {
        self.internal = InternalRoutes::new(routes);
        self
    }

    /// What a field of the application's response names; `None` if it is one like others. Without folders
    /// `X-Sendfile` is, and without internal routes `X-Accel-Redirect`: a proxy may know them.
    pub fn named_by(&self, field: &[u8], value: &[u8]) -> Option<Name> {
        let is = |known: &str| field.eq_ignore_ascii_case(known.as_bytes());
        let value = value.trim_ascii();
        if !self.folders.is_empty() && is(X_SENDFILE) {
            Some(Name::File(PathBuf::from(OsStr::from_bytes(value))))
        } else if !self.internal.is_empty() && is(X_ACCEL_REDIRECT) {
            Some(Name::Place(value.to_vec()))
        } else {
            None
        }
    }

    /// Sends the file that is named with the head that the application gave.
    ///
    /// Of a file's, every field stays as it is, but for `Content-Length` and what else describes the bytes on the
    /// wire. Of a place's, those stay that nginx keeps, and the status is 200. What was not said is added:
    /// `Content-Type` by the name, `ETag`, `Last-Modified`. A response with status 200 to GET or HEAD is subject to
    /// the request's conditions and ranges, compared with the application's validators where there are some; any
    /// other is sent whole.
    ///
    /// # Errors
    ///
    /// [`NamedError`]; then the exchange has not begun.
    pub fn send(
        &self,
        exchange: &mut Exchange,
        given: &ResponseHead,
        name: &Name,
    ) -> Result<(), NamedError> {
        match name {
            Name::File(path) => {
                let entry = self.file(path)?;
                send_as(exchange, given, &entry);
            }
            Name::Place(place) => {
                let entry = self.place(exchange.request(), place)?;
                send_as(exchange, &kept(given), &entry);
            }
        }
        Ok(())
    }

    fn place(&self, request: &Request, place: &[u8]) -> Result<Arc<Entry>, NamedError> {
        let path = place.split(|&byte| byte == b'?').next().unwrap_or_default();
        if !path.starts_with(b"/") || goes_up(path) {
            return Err(NamedError::Nowhere);
        }
        let (files, rest) = self
            .internal
            .find(request, path)
            .ok_or(NamedError::Nowhere)?;
        let plain = PlainPath::read(rest, files.dotfiles()).ok_or(NamedError::Missing)?;
        let found = files.file(&plain).map_err(NamedError::System)?;
        found.ok_or(NamedError::Missing)
    }

    fn file(&self, path: &Path) -> Result<Arc<Entry>, NamedError> {
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

fn send_as(exchange: &mut Exchange, given: &ResponseHead, entry: &Entry) {
    let named = Named::new(given, entry.resource.plain());
    let request = exchange.request();
    let answer = match request.head().method {
        Method::Get | Method::Head if named.is_plain() => Asked::of(request).answer(&named),
        // Whatever the application has done is done: no condition may fail any more.
        _ => Answer::Whole,
    };
    send(exchange, &named, answer);
}

/// Whether somebody has made the path of what the application did not expect.
fn goes_up(path: &[u8]) -> bool {
    let mut decoded = Vec::with_capacity(path.len());
    decode_path(path, &mut decoded);
    decoded
        .split(|&byte| byte == b'/')
        .any(|segment| segment == b"..")
}

/// The head of a response that names a place, with what stays of it.
fn kept(given: &ResponseHead) -> ResponseHead {
    let mut head = head_of(b"200 OK");
    for (name, value) in given.fields() {
        if KEPT.iter().any(|it| it.eq_ignore_ascii_case(name)) {
            // It has been taken before.
            let _ = head.field(name, value);
        }
    }
    if given.wants_close() {
        let _ = head.field(b"Connection", b"close");
    }
    head
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

    /// Whether conditions and ranges are left to the server. They are, too, where a framework has answered a
    /// range already, as Flask's `send_file` does: it says 206 of a body that the file takes the place of.
    fn is_plain(&self) -> bool {
        matches!(self.given.status_code(), 200 | 206)
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
        let status = match self.given.status_code() {
            206 => b"200 OK",
            _ => self.given.status_text(),
        };
        let mut head = self.head(status, |name| !describes_wire(name));
        add(&mut head, b"Content-Type", self.media_type.as_bytes());
        let len = self.file.content.len().to_string();
        add(&mut head, b"Content-Length", len.as_bytes());
        self.add_last_modified(&mut head);
        if self.is_plain() {
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

/// As in a message: the field, and what it says.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::File(path) => write!(f, "{X_SENDFILE}: {}", path.display()),
            Name::Place(place) => {
                write!(f, "{X_ACCEL_REDIRECT}: {}", String::from_utf8_lossy(place))
            }
        }
    }
}

impl fmt::Display for NamedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamedError::Outside => {
                f.write_str("the file lies in none of the folders that may be named")
            }
            NamedError::Nowhere => f.write_str("no internal route leads there"),
            NamedError::Missing => f.write_str("there is no such file"),
            NamedError::System(err) => write!(f, "the file cannot be read: {err}"),
        }
    }
}

impl std::error::Error for NamedError {}
