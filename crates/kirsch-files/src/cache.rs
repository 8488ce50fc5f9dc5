//! The open-file cache: what was found for a path, bounded by count, by bytes and by descriptors.
//!
//! It knows when an entry was last looked after, and not how that is done. One lock, held for a look-up.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::resource::Resource;

/// Descriptors that the cache may hold; a server needs its own for connections.
const OPEN_FILES: usize = 128;

/// What an entry costs beside its content, by estimate: keys, heads, counts.
const OVERHEAD: u64 = 2048;

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    state: Mutex<State>,
    began: Instant,
    check_interval: Duration,
    most_files: usize,
    most_bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Arc<[u8]>, Arc<Entry>>,
    /// Who is asked next whether it was used since it was asked last ("clock").
    order: VecDeque<Arc<[u8]>>,
    bytes: u64,
    open: usize,
}

/// What was found for a path.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) resource: Resource,
    /// When it was last known to be what is there, in milliseconds since the cache began.
    checked: AtomicU64,
    used: AtomicBool,
}

/// How much an entry can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It counts for a while yet.
    Fresh,
    /// It counts, but may not do so any more in a moment.
    Ending,
    /// Somebody has to look whether it is still what is there.
    Due,
}

impl Cache {
    pub(crate) fn new(check_interval: Duration, most_files: usize, most_bytes: u64) -> Cache {
        Cache {
            state: Mutex::default(),
            began: Instant::now(),
            check_interval,
            most_files,
            most_bytes,
        }
    }

    /// What is remembered of a path, however old.
    pub(crate) fn find(&self, path: &[u8]) -> Option<Arc<Entry>> {
        let entry = self.lock().entries.get(path).map(Arc::clone)?;
        // Written only where it changes: the line is shared between processors.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(entry)
    }

    pub(crate) fn age(&self, entry: &Entry) -> Age {
        let age = self
            .now()
            .saturating_sub(entry.checked.load(Ordering::Relaxed));
        let interval = millis(self.check_interval);
        // The last tenth is for requests that wait for a thread.
        match age {
            _ if age < interval - interval / 10 => Age::Fresh,
            _ if age < interval => Age::Ending,
            _ => Age::Due,
        }
    }

    /// Says that the caller looks after the entry now. False if somebody else has just begun to.
    pub(crate) fn claim(&self, entry: &Entry) -> bool {
        let checked = entry.checked.load(Ordering::Relaxed);
        let now = self
            .now()
            .max(checked + u64::from(self.check_interval.is_zero()));
        entry
            .checked
            .compare_exchange(checked, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Remembers what was just found.
    pub(crate) fn insert(&self, path: &[u8], resource: Resource) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            resource,
            checked: AtomicU64::new(self.now()),
            used: AtomicBool::new(false),
        });
        let mut state = self.lock();
        let replaced = state.remove(path);
        if weight(&entry.resource) <= self.most_bytes {
            state.insert(path, &entry);
        }
        let dropped = state.shrink(self.most_files, self.most_bytes);
        drop(state);
        // Closing files is nothing to do under the lock.
        drop((replaced, dropped));
        entry
    }

    /// Forgets a path.
    pub(crate) fn remove(&self, path: &[u8]) {
        let removed = self.lock().remove(path);
        drop(removed);
    }

    /// Forgets everything: descriptors have run out.
    pub(crate) fn clear(&self) {
        let state = std::mem::take(&mut *self.lock());
        drop(state);
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, path: &[u8], entry: &Arc<Entry>) {
        let path: Arc<[u8]> = path.into();
        self.bytes += weight(&entry.resource);
        self.open += entry.resource.open_files();
        self.order.push_back(Arc::clone(&path));
        self.entries.insert(path, Arc::clone(entry));
    }

    fn remove(&mut self, path: &[u8]) -> Option<Arc<Entry>> {
        let removed = self.entries.remove(path)?;
        self.order.retain(|other| **other != *path);
        self.bytes -= weight(&removed.resource);
        self.open -= removed.resource.open_files();
        Some(removed)
    }

    /// Drops entries until the bounds hold: those that were not used since they were asked last.
    fn shrink(&mut self, most_files: usize, most_bytes: u64) -> Vec<Arc<Entry>> {
        let mut dropped = Vec::new();
        while self.entries.len() > most_files || self.bytes > most_bytes || self.open > OPEN_FILES {
            let Some(path) = self.order.pop_front() else {
                break;
            };
            let used = self.entries.get(&path);
            if used.is_some_and(|entry| entry.used.swap(false, Ordering::Relaxed)) {
                self.order.push_back(path);
                continue;
            }
            if let Some(entry) = self.entries.remove(&path) {
                self.bytes -= weight(&entry.resource);
                self.open -= entry.resource.open_files();
                dropped.push(entry);
            }
        }
        dropped
    }
}

fn weight(resource: &Resource) -> u64 {
    OVERHEAD + resource.bytes_in_memory()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::representation::{Representation, SMALL, Saying};
    use crate::resource::Survey;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn resource(&self, len: u64) -> Resource {
            let path = self.0.path().join("file");
            fs::write(&path, vec![b'x'; len as usize]).expect("a file");
            let saying = Saying {
                media_type: "text/plain",
                cache_control: None,
                coding: None,
                varies: false,
            };
            let file = File::open(path).expect("a file");
            let plain = Representation::load(file, saying).expect("a file");
            Resource::of(Survey::for_test(), plain)
        }
    }

    fn folder() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn name(number: usize) -> Vec<u8> {
        format!("file-{number}").into_bytes()
    }

    fn held(cache: &Cache, names: usize) -> Vec<usize> {
        let state = cache.lock();
        (0..names)
            .filter(|&number| state.entries.contains_key(&name(number)[..]))
            .collect()
    }

    #[test]
    fn what_was_used_stays_and_the_bounds_hold() {
        let folder = folder();
        let cache = Cache::new(Duration::from_secs(60), 4, u64::MAX);
        for number in 0..4 {
            cache.insert(&name(number), folder.resource(10));
        }
        assert!(cache.find(&name(0)).is_some() && cache.find(&name(9)).is_none());
        cache.insert(&name(4), folder.resource(10));
        assert_eq!(held(&cache, 9), [0, 2, 3, 4]);
        // The same name again is no further file.
        cache.insert(&name(4), folder.resource(20));
        assert_eq!(held(&cache, 9), [0, 2, 3, 4]);
        cache.remove(&name(0));
        assert_eq!(held(&cache, 9), [2, 3, 4]);
        cache.clear();
        assert_eq!(held(&cache, 9), [0; 0]);
        assert_eq!(cache.lock().bytes, 0);
    }

    #[test]
    fn bytes_and_descriptors_are_bounded_too() {
        let folder = folder();
        let cache = Cache::new(Duration::from_secs(60), 1000, 4 * (OVERHEAD + 1000));
        for number in 0..9 {
            cache.insert(&name(number), folder.resource(1000));
        }
        assert_eq!(held(&cache, 9), [5, 6, 7, 8]);
        // One that would push everything out, and still not fit, is not remembered.
        cache.insert(&name(0), folder.resource(16_000));
        assert_eq!(held(&cache, 9), [5, 6, 7, 8]);
        let cache = Cache::new(Duration::from_secs(60), 1000, u64::MAX);
        for number in 0..OPEN_FILES + 9 {
            cache.insert(&name(number), folder.resource(SMALL + 1));
        }
        assert_eq!(cache.lock().open, OPEN_FILES);
        assert_eq!(cache.lock().entries.len(), OPEN_FILES);
        let nothing = Cache::new(Duration::from_secs(60), 0, u64::MAX);
        nothing.insert(&name(0), folder.resource(1));
        assert!(nothing.find(&name(0)).is_none());
    }

    #[test]
    fn one_looks_after_an_entry_that_is_due() {
        let folder = folder();
        let cache = Cache::new(Duration::ZERO, 4, u64::MAX);
        let entry = cache.insert(b"file", folder.resource(10));
        assert_eq!(cache.age(&entry), Age::Due);
        assert!(cache.claim(&entry));
        let cache = Cache::new(Duration::from_secs(60), 4, u64::MAX);
        let entry = cache.insert(b"file", folder.resource(10));
        assert_eq!(cache.age(&entry), Age::Fresh);
    }
}
