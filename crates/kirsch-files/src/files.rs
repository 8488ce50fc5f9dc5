//! The gateway: from the path of a request to the answer.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kirsch_http::{Method, encode_target};
use kirsch_server::{ErrorAnswer, Exchange, Gateway, Lane, Request, Status, Terms};
use rustix::io::Errno;
use tracing::{debug, warn};

use crate::asked::Asked;
use crate::cache::{Age, Cache, Entry};
use crate::listing::listing;
use crate::options::{Dotfiles, FilesOptions};
use crate::path::{PlainPath, last_segment};
use crate::representation::{add, head_of};
use crate::resource::{Resource, Target, is_absence};
use crate::root::Root;
use crate::send::{respond, send};

const METHODS: &str = "GET, HEAD";
const READ_ONLY: &str = "files are only read here";
const NOTHING: &str = "there is nothing at this path";
const TROUBLE: &str = "the file cannot be read now; the server's log says why";

/// A page that runs nothing and loads nothing.
const LISTING_POLICY: &[u8] = b"default-src 'none'; style-src 'unsafe-inline'";

/// A folder of static files.
///
/// As a [`Gateway`] it answers the whole path, less the mount; a router calls [`Files::serve`] with the rest
/// of the path and asks [`Files::lane`] where that may run. Any thread may call it.
#[derive(Debug)]
pub struct Files {
    root: Root,
    options: FilesOptions,
    cache: Cache,
    fallback: Option<PlainPath>,
}

/// Why a folder cannot be served.
#[derive(Debug)]
pub enum FilesError {
    /// The folder is not there, no folder, or may not be looked at.
    Root(PathBuf, io::Error),
    /// An index file's name is empty or holds a slash or a NUL.
    Index(String),
    /// The fallback is no plain path to a file below the root.
    Fallback(String),
    /// The mount does not begin with a slash, or ends with one.
    Mount(String),
    /// The charset is no token.
    Charset(String),
}

/// What was found for a path.
enum Found {
    Resource(Arc<Entry>),
    FolderWithoutSlash,
    Folder(PlainPath),
    Nothing,
}

impl Files {
    /// Opens the folder.
    ///
    /// # Errors
    ///
    /// [`FilesError`] says what cannot be used: who starts a server learns it before the first request.
    pub fn new(options: FilesOptions) -> Result<Files, FilesError> {
        let root = Root::open(&options.root, options.symlinks, options.check_interval)
            .map_err(|err| FilesError::Root(options.root.clone(), err))?;
        let is_name = |name: &&String| !name.is_empty() && !name.contains(['/', '\0']);
        if let Some(wrong) = options.index.iter().find(|name| !is_name(name)) {
            return Err(FilesError::Index(wrong.clone()));
        }
        let mount = options.mount.as_bytes();
        if !mount.is_empty() && (!mount.starts_with(b"/") || mount.ends_with(b"/")) {
            return Err(FilesError::Mount(options.mount));
        }
        let is_token = |it: &&String| {
            !it.is_empty()
                && it
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if let Some(wrong) = options.charset.as_ref().filter(|it| !is_token(it)) {
            return Err(FilesError::Charset(wrong.clone()));
        }
        let fallback = match &options.fallback {
            None => None,
            Some(path) => Some(
                // The operator's own path: hidden if they like, and encoded nowhere.
                PlainPath::of_file(path.as_bytes())
                    .ok_or_else(|| FilesError::Fallback(path.clone()))?,
            ),
        };
        Ok(Files {
            cache: Cache::new(
                options.check_interval,
                options.cached_files,
                options.cached_bytes,
            ),
            root,
            options,
            fallback,
        })
    }

    /// The path behind the mount; `None` if it does not begin with it.
    fn rest<'a>(&self, request: &'a Request) -> Option<&'a [u8]> {
        let rest = request
            .path_below_mount()
            .strip_prefix(self.options.mount.as_bytes())?;
        (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    }

    /// Answers an exchange with what `rest` leads to: the path behind the mount as received, undecoded, with the
    /// slash in front; empty if the path ends with the mount.
    pub fn serve(&self, mut exchange: Exchange, rest: &[u8]) {
        let request = exchange.request();
        if !matches!(request.head().method, Method::Get | Method::Head) {
            let answer = ErrorAnswer::new(Status(405), READ_ONLY).allow(METHODS);
            return exchange.answer(&answer);
        }
        match self.find(rest) {
            Ok(Found::Resource(entry)) => {
                let asked = Asked::of(request);
                let chosen = entry.resource.choose(asked.accepts());
                let answer = asked.answer(chosen);
                send(&mut exchange, chosen, answer);
            }
            Ok(Found::FolderWithoutSlash) => redirect(&mut exchange),
            Ok(Found::Folder(path)) if self.options.listing => self.list(&mut exchange, &path),
            Ok(Found::Folder(_) | Found::Nothing) => {
                exchange.answer(&ErrorAnswer::new(Status(404), NOTHING));
            }
            Err(err) => {
                warn!(%err, root = %self.root.path().display(), "a file cannot be served");
                exchange.answer(&ErrorAnswer::new(Status(500), TROUBLE));
            }
        }
    }

    /// Where [`Files::serve`] may run for this path: anywhere if the answer lies in memory, otherwise on a thread
    /// that may wait for a disk.
    ///
    /// Asked when a request arrives; should the cache have dropped the entry by the time that it is served, the
    /// file is opened wherever that is, which waits if the disk is cold.
    pub fn lane_for(&self, rest: &[u8]) -> Lane {
        // What is remembered has a decoded name, and decoding is not for who drives the reactor.
        if memchr::memchr(b'%', rest).is_some() {
            return Lane::Thread;
        }
        let entry = self.cache.find(rest.strip_prefix(b"/").unwrap_or(rest));
        match entry.filter(|entry| entry.resource.is_in_memory()) {
            Some(entry) => match self.cache.age(&entry) {
                Age::Fresh => Lane::Inline,
                Age::Ending | Age::Due => Lane::Thread,
            },
            None => Lane::Thread,
        }
    }

    /// What the path leads to, remembered or looked up.
    fn find(&self, rest: &[u8]) -> io::Result<Found> {
        if rest.is_empty() {
            return Ok(Found::FolderWithoutSlash);
        }
        // Only plain paths are remembered, so one that is found needs no second look.
        let raw = rest.strip_prefix(b"/").unwrap_or(rest);
        if memchr::memchr(b'%', raw).is_none()
            && let Some(entry) = self.cache.find(raw)
            && self.cache.age(&entry) != Age::Due
        {
            return Ok(Found::Resource(entry));
        }
        let Some(path) = PlainPath::read(rest, self.options.dotfiles) else {
            debug!("a path that is not plain is refused");
            return Ok(Found::Nothing);
        };
        let found = self.look_up(&path)?;
        let Some(fallback) = &self.fallback else {
            return Ok(found);
        };
        let has_type = last_segment(path.as_bytes()).contains(&b'.');
        match found {
            Found::Nothing if !has_type => self.look_up(fallback),
            Found::Folder(_) if !self.options.listing => self.look_up(fallback),
            Found::Resource(_) | Found::FolderWithoutSlash | Found::Folder(_) | Found::Nothing => {
                Ok(found)
            }
        }
    }

    /// The file at a plain path; `None` if there is none.
    pub(crate) fn file(&self, path: &PlainPath) -> io::Result<Option<Arc<Entry>>> {
        Ok(match self.look_up(path)? {
            Found::Resource(entry) => Some(entry),
            Found::FolderWithoutSlash | Found::Folder(_) | Found::Nothing => None,
        })
    }

    pub(crate) fn dotfiles(&self) -> Dotfiles {
        self.options.dotfiles
    }

    /// Where the folder is.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    fn look_up(&self, path: &PlainPath) -> io::Result<Found> {
        match self.try_look_up(path) {
            Err(err) if is_short_of_descriptors(&err) => {
                // Ours may be the ones that are missing.
                self.cache.clear();
                self.try_look_up(path)
            }
            found => found,
        }
    }

    fn try_look_up(&self, path: &PlainPath) -> io::Result<Found> {
        let key = path.as_bytes();
        let known = self.cache.find(key);
        if let Some(entry) = &known {
            // One looks; the others answer with what they have.
            let is_due = self.cache.age(entry) == Age::Due && self.cache.claim(entry);
            if !is_due {
                return Ok(Found::Resource(Arc::clone(entry)));
            }
        }
        let target = Target::find(&self.root, &self.options, path);
        if let Some(entry) = known {
            match &target {
                Ok(Target::File(survey))
                    if *survey == entry.resource.survey && entry.resource.is_settled() =>
                {
                    return Ok(Found::Resource(entry));
                }
                Ok(_) | Err(_) => self.cache.remove(key),
            }
        }
        Ok(match target? {
            Target::File(survey) => match Resource::load(&self.root, &self.options, survey) {
                Ok(resource) => Found::Resource(self.cache.insert(key, resource)),
                // It was seen, and may not be read or has just gone.
                Err(err) if is_absence(&err) || err.kind() == io::ErrorKind::NotFound => {
                    debug!(%err, "a file that is there cannot be opened");
                    Found::Nothing
                }
                Err(err) => return Err(err),
            },
            Target::FolderWithoutSlash => Found::FolderWithoutSlash,
            Target::Folder => Found::Folder(path.clone()),
            Target::Nothing => Found::Nothing,
        })
    }

    fn list(&self, exchange: &mut Exchange, path: &PlainPath) {
        match listing(&self.root, path.as_bytes(), self.options.dotfiles) {
            Ok(page) => {
                let mut head = head_of(b"200 OK");
                add(&mut head, b"Content-Type", b"text/html; charset=utf-8");
                add(&mut head, b"Content-Security-Policy", LISTING_POLICY);
                add(&mut head, b"Cache-Control", b"no-cache");
                respond(exchange, head, page.as_bytes());
            }
            Err(err) => {
                warn!(%err, root = %self.root.path().display(), "a folder cannot be listed");
                exchange.answer(&ErrorAnswer::new(Status(404), NOTHING));
            }
        }
    }
}

impl Gateway for Files {
    fn handle(&self, mut exchange: Exchange) {
        let Some(rest) = self.rest(exchange.request()).map(<[u8]>::to_vec) else {
            return exchange.answer(&ErrorAnswer::new(Status(404), NOTHING));
        };
        self.serve(exchange, &rest);
    }

    fn admit(&self, request: &mut Request) -> Terms {
        let lane = match self.rest(request) {
            Some(rest) => self.lane_for(rest),
            None => Lane::Inline,
        };
        let mut terms = Terms::new(lane);
        // Nobody reads a body here, so nobody waits for one.
        terms.streams_body = true;
        terms
    }
}

/// Sends the client to the same path with a slash at its end.
///
/// The target is relative to the path that the client asked for, so that whatever cut off a prefix on the way here
/// need not be known. In front of it stands `./`: a name with a colon, or with backslashes that browsers take
/// for slashes, leads nowhere else.
fn redirect(exchange: &mut Exchange) {
    let request = exchange.request();
    // What the client sent, not what a route may have made of it.
    let sent = request.target().split(|&byte| byte == b'?').next();
    let mut target = b"./".to_vec();
    encode_target(last_segment(sent.unwrap_or_default()), &mut target);
    target.push(b'/');
    if !request.query().is_empty() {
        target.push(b'?');
        encode_target(request.query(), &mut target);
    }
    let mut head = head_of(b"301 Moved Permanently");
    add(&mut head, b"Location", &target);
    respond(exchange, head, b"");
}

fn is_short_of_descriptors(err: &io::Error) -> bool {
    matches!(Errno::from_io_error(err), Some(Errno::MFILE | Errno::NFILE))
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilesError::Root(path, err) => {
                write!(f, "cannot serve the folder {}: {err}", path.display())
            }
            FilesError::Index(name) => {
                write!(
                    f,
                    "an index must be the name of a file, such as index.html, not {name:?}"
                )
            }
            FilesError::Fallback(path) => write!(
                f,
                "the fallback must be the path of a file below the root, such as index.html, not {path:?}"
            ),
            FilesError::Mount(mount) => write!(
                f,
                "a mount must begin with a slash and end without one, such as /static, not {mount:?}"
            ),
            FilesError::Charset(charset) => {
                write!(f, "a charset must be a name such as utf-8, not {charset:?}")
            }
        }
    }
}

impl std::error::Error for FilesError {}
