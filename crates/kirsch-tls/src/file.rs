//! Reading the files of TLS, and noticing later that one is another.
//!
//! A file is known by its [`Stamp`], and by the hash of its content where the stamp cannot tell: two writes
//! within one tick of the kernel's clock leave the same time.
//! Symbolic links are followed, so that one that points elsewhere (certbot's `live/`) is a changed file.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::certificate::sha256;
use crate::error::{TlsError, Trouble};

/// Larger than any of them: the revocation lists of public authorities have up to some 10 MiB.
const LARGEST: u64 = 64 << 20;

/// A stamp is believed once it is so old. Kernels count time in ticks of 10 ms at most, network file systems
/// in seconds.
const BELIEVED_AFTER: Duration = Duration::from_secs(3);

/// What editors of Windows begin a text with. PEM knows no such thing.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The files that were read for one state of things, in order.
#[derive(Debug, Default)]
pub struct Files {
    seen: Vec<Seen>,
}

/// What a file was when it was read.
#[derive(Debug)]
struct Seen {
    path: PathBuf,
    /// `None` if it could not be looked at.
    stamp: Option<Stamp>,
    /// Of the content; `None` if that could not be read.
    hash: Option<[u8; 32]>,
    /// Whether any change after the reading shows in the stamp.
    is_stamp_enough: bool,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Also moved by a change of rights, and not set back by tools that keep the time of modification.
    changed: (i64, i64),
}

impl Files {
    /// Reads a file, and remembers what it was. A pipe, such as `<(command)` of the shell, is read and not remembered:
    /// it gives once what it has.
    ///
    /// # Errors
    ///
    /// If it is missing, forbidden, a folder, too large or otherwise unreadable.
    pub fn read(&mut self, path: &Path) -> Result<Vec<u8>, TlsError> {
        // Looked at first: what changes after this look changes the stamp.
        let looked = fs::metadata(path);
        let content = read(path);
        if !looked.as_ref().is_ok_and(|it| it.file_type().is_fifo()) {
            self.seen.push(Seen {
                path: path.to_owned(),
                stamp: looked.as_ref().ok().map(Stamp::of),
                hash: content.as_ref().ok().map(|content| sha256(content)),
                is_stamp_enough: looked.is_ok_and(|metadata| is_old(&metadata)),
            });
        }
        let content = content.map(|mut content| {
            if content.starts_with(BYTE_ORDER_MARK) {
                content.drain(..BYTE_ORDER_MARK.len());
            }
            content
        });
        content.map_err(|err| match err.kind() {
            io::ErrorKind::FileTooLarge => TlsError::at(path, Trouble::TooLarge(LARGEST)),
            _ => TlsError::unreadable(path, &err),
        })
    }

    /// Whether any of them is another now than when it was read.
    pub fn have_changed(&mut self) -> bool {
        self.seen.iter_mut().any(Seen::has_changed)
    }
}

/// Whether content is binary, as certificates and lists are that nobody has made PEM of: it begins with a SEQUENCE.
pub(crate) fn is_der(content: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    // Text may begin with the same character, `0`; but there are no small numbers in it, such as a version.
    content.first() == Some(&SEQUENCE) && content.iter().take(16).any(|byte| *byte < b'\t')
}

/// The bits of a file's mode that let everybody read, write or run it.
pub(crate) fn open_to_all(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

impl Seen {
    fn has_changed(&mut self) -> bool {
        let looked = fs::metadata(&self.path).ok();
        let stamp = looked.as_ref().map(Stamp::of);
        if stamp == self.stamp && self.is_stamp_enough {
            return false;
        }
        let hash = read(&self.path).ok().map(|content| sha256(&content));
        if hash != self.hash {
            return true;
        }
        // Touched, or copied over itself: nothing that matters.
        self.stamp = stamp;
        self.is_stamp_enough = looked.is_some_and(|metadata| is_old(&metadata));
        false
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Whether a write from now on would get another time than the last one has.
fn is_old(metadata: &Metadata) -> bool {
    let changed = u64::try_from(metadata.ctime()).unwrap_or(0);
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(changed))
        .is_ok_and(|age| age > BELIEVED_AFTER)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut content)?;
    match content.len() as u64 > LARGEST {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_within_one_tick_of_the_clock_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "one").expect("a file");
        let mut files = Files::default();
        assert_eq!(files.read(&path), Ok(b"one".to_vec()));
        assert!(!files.have_changed());
        // Same length, same inode; the time is that of the same tick, or not.
        fs::write(&path, "two").expect("a file");
        assert!(files.have_changed());
    }

    #[test]
    fn an_old_stamp_is_enough() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "one").expect("a file");
        let mut files = Files::default();
        files.read(&path).expect("the content");
        // As after three seconds.
        files.seen[0].is_stamp_enough = true;
        files.seen[0].hash = None;
        assert!(!files.have_changed(), "the content was not read");
        fs::write(&path, "another").expect("a file");
        assert!(files.have_changed());
    }

    #[test]
    fn what_was_only_touched_has_not_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "one").expect("a file");
        let mut files = Files::default();
        files.read(&path).expect("the content");
        fs::write(folder.path().join("new"), "one").expect("a file");
        fs::rename(folder.path().join("new"), &path).expect("a new inode");
        assert!(!files.have_changed());
        fs::remove_file(&path).expect("it was there");
        assert!(files.have_changed());
    }

    #[test]
    fn a_pipe_is_read_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()));
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::write(path, "once")
        });
        let mut files = Files::default();
        assert_eq!(files.read(&path), Ok(b"once".to_vec()));
        writer.join().expect("no panic").expect("it was read");
        // Whoever opened it now would wait for a writer.
        assert!(!files.have_changed());
    }

    #[test]
    fn what_editors_put_before_a_text_is_no_part_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "\u{feff}text").expect("a file");
        let mut files = Files::default();
        assert_eq!(files.read(&path), Ok(b"text".to_vec()));
        assert!(!files.have_changed());
    }

    #[test]
    fn a_link_that_points_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, two, link] = ["one", "two", "link"].map(|name| folder.path().join(name));
        fs::write(&one, "1").expect("a file");
        fs::write(&two, "2").expect("a file");
        std::os::unix::fs::symlink(&one, &link).expect("a link");
        let mut files = Files::default();
        files.read(&link).expect("the content");
        assert!(!files.have_changed());
        fs::remove_file(&link).expect("it was there");
        std::os::unix::fs::symlink(&two, &link).expect("a link");
        assert!(files.have_changed());
    }

    #[test]
    fn what_was_missing_and_comes_has_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let mut files = Files::default();
        assert_eq!(
            files.read(&path),
            Err(TlsError::at(&path, Trouble::Missing))
        );
        assert!(!files.have_changed());
        fs::write(&path, "one").expect("a file");
        assert!(files.have_changed());
        assert_eq!(
            Files::default().read(folder.path()),
            Err(TlsError::at(folder.path(), Trouble::Folder))
        );
    }
}
