//! What all connections may use together: bytes of buffer memory, bytes of spool files.
//!
//! A [`Charge`] is held by whoever buffers and gives back what it holds when it is dropped, so that
//! nothing can leak. It knows no connection.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A bound on a sum.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Arc<Budget> {
        Arc::new(Budget {
            limit,
            used: AtomicU64::new(0),
        })
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64, limit: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .is_ok()
    }
}

/// A part of a budget; given back on drop.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    pub(crate) fn new(budget: &Arc<Budget>) -> Charge {
        Charge {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// Makes the charge at least `bytes`; false if the budget has no room.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let limit = self.budget.limit;
        self.grow_within(bytes, limit)
    }

    fn grow_within(&mut self, bytes: u64, limit: u64) -> bool {
        if bytes <= self.bytes {
            return true;
        }
        if !self.budget.take(bytes - self.bytes, limit) {
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// Gives back all above `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.budget
                .used
                .fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// Where spool files are made, and how much they may hold together.
#[derive(Debug)]
pub(crate) struct SpoolSpace {
    folder: PathBuf,
    budget: Arc<Budget>,
}

impl SpoolSpace {
    pub(crate) fn new(folder: PathBuf, limit: u64) -> SpoolSpace {
        SpoolSpace {
            folder,
            budget: Budget::new(limit),
        }
    }

    /// Makes a file without a name, so that nothing is left behind whatever happens.
    ///
    /// # Errors
    ///
    /// Those of the file system: no descriptor, no folder, no right.
    pub(crate) fn file(&self) -> io::Result<SpoolFile> {
        let file = tempfile::tempfile_in(&self.folder)?;
        let charge = Mutex::new(Charge::new(&self.budget));
        Ok(SpoolFile {
            content: Arc::new(Spooled { file, charge }),
            written: 0,
        })
    }

    /// Bytes in spool files now.
    pub(crate) fn used(&self) -> u64 {
        self.budget.used()
    }
}

/// The end of an unlinked file at which it grows.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    pub(crate) content: Arc<Spooled>,
    pub(crate) written: u64,
}

/// What was spooled; charged to the budget until the last reader has let go of it.
#[derive(Debug)]
pub(crate) struct Spooled {
    pub(crate) file: File,
    charge: Mutex<Charge>,
}

impl SpoolFile {
    /// Appends. May block on the disk.
    ///
    /// # Errors
    ///
    /// `StorageFull` if the budget or half of the free space is used up, else the file system's own.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let total = self.written + bytes.len() as u64;
        let mut charge = self
            .content
            .charge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Half of what is free now plus what the files hold: never more than half of what was free before.
        let free = match rustix::fs::fstatvfs(&self.content.file) {
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
            Err(_) => u64::MAX,
        };
        let limit = charge
            .budget
            .limit
            .min(free.saturating_add(charge.budget.used()) / 2);
        if !charge.grow_within(total, limit) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.content.file.write_all_at(bytes, self.written)?;
        self.written = total;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_gives_back_what_it_took() {
        let budget = Budget::new(100);
        let mut first = Charge::new(&budget);
        assert!(first.grow_to(60));
        let mut second = Charge::new(&budget);
        assert!(!second.grow_to(50));
        first.shrink_to(50);
        assert!(second.grow_to(50));
        drop(first);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_spool_file_keeps_to_the_sum() {
        let space = SpoolSpace::new(std::env::temp_dir(), 10);
        let mut file = space.file().expect("a temporary folder");
        file.append(b"12345678").expect("room");
        let error = file.append(b"901").expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(space.used(), 8);
        drop(file);
        assert_eq!(space.used(), 0);
    }
}
