//! What is sent for a file: its content, and all that its head says of it.
//!
//! # Validators
//!
//! A strong entity tag must change whenever the bytes do (RFC 9110 section 8.8.1), and the time of the last
//! change does not promise that: builds and archives set it to whatever they like, so that a new file of
//! the same length can bear the time of the old one. Therefore:
//!
//! - Of a file that is kept in memory the tag is a hash of the very bytes that are sent. It is the same on every
//!   machine and survives a copy.
//! - Of a larger file it is a hash of inode, length, time of the last change of the content and time of the
//!   last change of the inode, in nanoseconds. The last one cannot be set by programs. It differs between
//!   machines, so that behind a balancer a client may fetch a large file again.
//! - While a larger file is so young that the clock of its file system may not tell a further change from the
//!   last one, the tag is weak: good enough for "not modified", too weak to continue a download.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::SystemTime;

use kirsch_http::{EntityTag, HttpDate, LastModified, ResponseHead, Validators};
use rustix::fs::{FileType, Stat, fstat};

use crate::options::Coding;

/// Files up to this size are kept in memory, and leave behind their head in one call.
///
/// Beyond it `sendfile` costs less than the copy: for 64 KiB 20 µs instead of 30.
pub(crate) const SMALL: u64 = 16 * 1024;

/// File systems have clocks of 1 to 10 ms; some over the network, and FAT, of 2 s.
const UNSETTLED_SECONDS: u64 = 2;

/// What tells a file from the one that had its name before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of a regular file; `None` of everything else.
    pub(crate) fn of(found: &Stat) -> Option<Stamp> {
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return None;
        }
        Some(Stamp {
            device: found.st_dev,
            inode: found.st_ino,
            len: u64::try_from(found.st_size).unwrap_or(0),
            modified: (found.st_mtime, found.st_mtime_nsec),
            changed: (found.st_ctime, found.st_ctime_nsec),
        })
    }

    /// Whether its content was changed before that of another file.
    pub(crate) fn is_older_than(&self, other: &Stamp) -> bool {
        self.modified < other.modified
    }

    /// Whether its times tell it from every later state.
    fn is_settled(&self, now: u64) -> bool {
        let changed = self.modified.0.max(self.changed.0);
        u64::try_from(changed).is_ok_and(|changed| changed.saturating_add(UNSETTLED_SECONDS) < now)
    }

    fn hash(&self) -> u64 {
        // Not keyed: the same in every process on this machine. Short, and tells nobody the inode.
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.inode);
        hasher.write_u64(self.len);
        for (seconds, nanos) in [self.modified, self.changed] {
            hasher.write_i64(seconds);
            hasher.write_i64(nanos);
        }
        hasher.finish()
    }
}

/// The bytes.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// All of them.
    Memory(Arc<[u8]>),
    /// A file and its length.
    File(Arc<File>, u64),
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::File(_, len) => *len,
        }
    }
}

/// A file with what is said of it, however that is known.
pub(crate) trait Sendable {
    /// The bytes.
    fn content(&self) -> &Content;

    /// The value of `Content-Type`.
    fn media_type(&self) -> &str;

    /// What preconditions are compared with.
    fn validators(&self) -> Validators<'_>;

    /// The head of the whole response, with its length.
    fn whole_head(&self) -> ResponseHead;

    /// The head of a 206, but for its `Content-Type` and what it says of ranges.
    fn partial_head(&self) -> ResponseHead;

    /// The head of a 304: what the whole would say that a cache has to know (section 15.4.5).
    fn not_modified_head(&self) -> ResponseHead;
}

/// What a response says beside what the file itself says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saying<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) cache_control: Option<&'a str>,
    pub(crate) coding: Option<Coding>,
    /// Whether there are others to choose from by `Accept-Encoding`.
    pub(crate) varies: bool,
}

/// A file as it is sent, and what its head says.
#[derive(Debug)]
pub(crate) struct Representation {
    pub(crate) content: Content,
    /// With its quotes.
    pub(crate) etag: String,
    pub(crate) last_modified: Option<LastModified>,
    pub(crate) media_type: String,
    cache_control: Option<String>,
    coding: Option<Coding>,
    varies: bool,
    /// Whether a later look may say more of the same file: a stronger tag.
    pub(crate) is_settled: bool,
    /// The head of a whole response, which is most of them.
    whole: ResponseHead,
}

impl Representation {
    /// Takes an open file in. Reads it if it is small.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no regular file.
    pub(crate) fn load(file: File, saying: Saying<'_>) -> io::Result<Representation> {
        let stamp = Stamp::of(&fstat(&file)?).ok_or(io::ErrorKind::InvalidInput)?;
        let now = now_seconds();
        let settled = stamp.is_settled(now);
        let (content, etag, is_settled) = match read_small(&file, stamp.len)? {
            Some(bytes) => {
                let etag = format!("\"{:016x}\"", hash(&bytes));
                (Content::Memory(bytes), etag, true)
            }
            None => {
                let weak = if settled { "" } else { "W/" };
                let etag = format!("{weak}\"{:016x}\"", stamp.hash());
                (Content::File(Arc::new(file), stamp.len), etag, settled)
            }
        };
        let last_modified = u64::try_from(stamp.modified.0)
            .ok()
            // One in the future must not be said (section 8.8.2.1).
            .filter(|&seconds| seconds <= now)
            .map(|seconds| LastModified {
                date: HttpDate::from_seconds(seconds),
                is_strong: settled,
            });
        let mut made = Representation {
            content,
            etag,
            last_modified,
            media_type: saying.media_type.to_owned(),
            cache_control: saying.cache_control.map(str::to_owned),
            coding: saying.coding,
            varies: saying.varies,
            is_settled,
            whole: ResponseHead::new(),
        };
        made.whole = made.make_whole();
        Ok(made)
    }

    fn make_whole(&self) -> ResponseHead {
        let mut head = head_of(b"200 OK");
        add(&mut head, b"Content-Type", self.media_type.as_bytes());
        let len = self.content.len().to_string();
        add(&mut head, b"Content-Length", len.as_bytes());
        self.add_validators(&mut head);
        add(&mut head, b"Accept-Ranges", b"bytes");
        self.add_lasting(&mut head);
        head
    }

    fn add_validators(&self, head: &mut ResponseHead) {
        add(head, b"ETag", self.etag.as_bytes());
        if let Some(modified) = self.last_modified {
            add(head, b"Last-Modified", modified.date.to_text().as_bytes());
        }
        if let Some(coding) = self.coding {
            add(head, b"Content-Encoding", coding.name().as_bytes());
        }
    }

    fn add_lasting(&self, head: &mut ResponseHead) {
        if let Some(value) = &self.cache_control {
            add(head, b"Cache-Control", value.as_bytes());
        }
        if self.varies {
            add(head, b"Vary", b"Accept-Encoding");
        }
    }
}

impl Sendable for Representation {
    fn content(&self) -> &Content {
        &self.content
    }

    fn media_type(&self) -> &str {
        &self.media_type
    }

    fn validators(&self) -> Validators<'_> {
        Validators {
            etag: EntityTag::parse(self.etag.as_bytes()),
            last_modified: self.last_modified,
        }
    }

    fn whole_head(&self) -> ResponseHead {
        self.whole.clone()
    }

    fn partial_head(&self) -> ResponseHead {
        let mut head = head_of(b"206 Partial Content");
        self.add_validators(&mut head);
        self.add_lasting(&mut head);
        head
    }

    fn not_modified_head(&self) -> ResponseHead {
        let mut head = head_of(b"304 Not Modified");
        add(&mut head, b"ETag", self.etag.as_bytes());
        self.add_lasting(&mut head);
        head
    }
}

/// A head with a status of ours.
pub(crate) fn head_of(status: &[u8]) -> ResponseHead {
    let mut head = ResponseHead::new();
    let good = head.status(status);
    debug_assert!(good.is_ok(), "our own statuses are good");
    head
}

/// Adds a field of ours.
pub(crate) fn add(head: &mut ResponseHead, name: &[u8], value: &[u8]) {
    let added = head.field(name, value);
    debug_assert!(added.is_ok(), "our own fields are good");
}

/// The content of a small file; `None` if it is larger, whatever its length was a moment ago.
fn read_small(file: &File, len: u64) -> io::Result<Option<Arc<[u8]>>> {
    if len > SMALL {
        return Ok(None);
    }
    // A byte more than it should have tells that it grows.
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0) + 1);
    file.take(SMALL + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= SMALL).then(|| bytes.into()))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        device: 1,
        inode: 2,
        len: 3,
        modified: (1000, 5),
        changed: (2000, 6),
    };

    #[test]
    fn whatever_may_tell_a_change_changes_the_hash() {
        let others = [
            Stamp { inode: 3, ..STAMP },
            Stamp { len: 4, ..STAMP },
            Stamp {
                modified: (1000, 6),
                ..STAMP
            },
            Stamp {
                changed: (2000, 7),
                ..STAMP
            },
        ];
        for other in others {
            assert_ne!(other.hash(), STAMP.hash(), "{other:?}");
        }
        assert_eq!(Stamp { ..STAMP }.hash(), STAMP.hash());
    }

    #[test]
    fn a_file_is_settled_when_the_clock_has_moved_on() {
        for (now, settled) in [(1999, false), (2000, false), (2002, false), (2003, true)] {
            assert_eq!(STAMP.is_settled(now), settled, "{now}");
        }
        // A file from the future never is, until that has come.
        let strange = Stamp {
            modified: (i64::MAX, 0),
            ..STAMP
        };
        assert!(!strange.is_settled(3000));
        let before = Stamp {
            modified: (-5, 0),
            changed: (-5, 0),
            ..STAMP
        };
        assert!(!before.is_settled(3000));
    }
}
