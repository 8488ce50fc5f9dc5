//! The folder that files are served from: opens what is below it, and nothing else.
//!
//! Where the kernel has `openat2` (Linux 5.6) it resolves paths itself and refuses whatever leads out, at
//! every step and without a race. Elsewhere, and where a sandbox forbids the call, [`walk`](crate::walk)
//! does the same name by name. It knows no HTTP; paths come without a slash in front.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, stat};
use rustix::io::Errno;

use crate::options::Symlinks;
use crate::walk::walk;

/// How often a path is tried again that the kernel could not resolve because somebody renamed folders meanwhile.
const RACES: u32 = 8;

/// A folder.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    held: Mutex<Held>,
    resolver: Resolver,
    check_interval: Duration,
}

/// The folder as it was found.
#[derive(Debug)]
struct Held {
    folder: Arc<OwnedFd>,
    ident: (u64, u64),
    checked: Instant,
}

/// Who sees to it that no path leads out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    /// The kernel: `openat2`.
    Kernel,
    /// We: name by name.
    Walk,
    /// Nobody: the operator wants links to lead anywhere.
    Follow,
}

/// What a descriptor is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To ask what it is; nothing is opened.
    Look,
    /// To read it.
    Read,
}

impl Purpose {
    /// Without `NONBLOCK` opening a FIFO would wait for a writer; without `NOCTTY` a terminal would become ours.
    pub(crate) fn flags(self) -> OFlags {
        match self {
            Purpose::Look => OFlags::PATH | OFlags::CLOEXEC,
            Purpose::Read => OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY,
        }
    }
}

impl Root {
    /// Opens the folder.
    ///
    /// # Errors
    ///
    /// If it is not there, or no folder.
    pub(crate) fn open(
        path: &Path,
        symlinks: Symlinks,
        check_interval: Duration,
    ) -> io::Result<Root> {
        // Whoever changes the working folder later does not change what is served.
        let path = std::path::absolute(path)?;
        let held = Held::open(&path)?;
        let resolver = match symlinks {
            Symlinks::Followed => Resolver::Follow,
            Symlinks::WithinRoot => Resolver::find(&held.folder),
        };
        Ok(Root {
            path,
            held: Mutex::new(held),
            resolver,
            check_interval,
        })
    }

    /// Opens what the path leads to.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being opened; a path that leads out looks like one that leads nowhere.
    pub(crate) fn open_below(&self, path: &Path, purpose: Purpose) -> io::Result<File> {
        let folder = self.folder()?;
        self.resolver
            .open(&folder, path, purpose)
            .map(File::from)
            .map_err(io::Error::from)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder, looked at again from time to time: its name may lead to another one by now.
    fn folder(&self) -> io::Result<Arc<OwnedFd>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(held.checked) < self.check_interval {
            return Ok(Arc::clone(&held.folder));
        }
        // Whoever comes meanwhile uses the old one.
        held.checked = now;
        let known = held.ident;
        let folder = Arc::clone(&held.folder);
        drop(held);
        if stat(&self.path).is_ok_and(|found| ident(&found) == known) {
            return Ok(folder);
        }
        let found = Held::open(&self.path)?;
        let folder = Arc::clone(&found.folder);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(folder)
    }
}

impl Held {
    fn open(path: &Path) -> io::Result<Held> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty())?;
        Ok(Held {
            ident: ident(&fstat(&folder)?),
            folder: Arc::new(folder),
            checked: Instant::now(),
        })
    }
}

fn ident(found: &Stat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}

impl Resolver {
    /// The kernel, if it can and may.
    fn find(folder: &OwnedFd) -> Resolver {
        match beneath(folder, Path::new("."), Purpose::Look) {
            // ENOSYS of an old kernel, EPERM of a sandbox that does not know the call.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Resolver::Walk,
            Ok(_) | Err(_) => Resolver::Kernel,
        }
    }

    /// Opens what the path leads to from the folder.
    pub(crate) fn open(
        self,
        folder: &OwnedFd,
        path: &Path,
        purpose: Purpose,
    ) -> Result<OwnedFd, Errno> {
        // The root itself is asked for by an empty path.
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        match self {
            Resolver::Kernel => beneath(folder, path, purpose),
            Resolver::Walk => walk(folder.as_fd(), path, purpose),
            Resolver::Follow => openat(folder, path, purpose.flags(), Mode::empty()),
        }
    }
}

fn beneath(folder: &OwnedFd, path: &Path, purpose: Purpose) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RACES {
        match openat2(folder, path, purpose.flags(), Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_root_that_is_switched_is_found_and_one_that_is_missing_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            fs::create_dir(path(name)).expect("a folder");
            fs::write(path(name).join("which"), name).expect("a file");
        }
        symlink("one", path("current")).expect("a link");
        let root =
            Root::open(&path("current"), Symlinks::WithinRoot, Duration::ZERO).expect("a root");
        let read = || {
            let file = root.open_below(Path::new("which"), Purpose::Read);
            io::read_to_string(file.expect("a file")).expect("text")
        };
        assert_eq!(read(), "one");
        symlink("two", path("next")).expect("a link");
        fs::rename(path("next"), path("current")).expect("switched");
        assert_eq!(read(), "two");
        for missing in ["none", "one/which"] {
            assert!(Root::open(&path(missing), Symlinks::WithinRoot, Duration::ZERO).is_err());
        }
    }
}
