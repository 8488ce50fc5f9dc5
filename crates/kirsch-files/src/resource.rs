//! What a path leads to: found by looking, and loaded to be sent.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use kirsch_http::AcceptEncoding;
use rustix::fs::{FileType, fstat};

use crate::caching::cache_control;
use crate::media_type::media_type;
use crate::options::{Coding, FilesOptions};
use crate::path::PlainPath;
use crate::representation::{Content, Representation, Saying, Stamp};
use crate::root::{Purpose, Root};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file, perhaps the index of a folder.
    File(Survey),
    /// A folder whose path lacks the slash at its end.
    FolderWithoutSlash,
    /// A folder without an index.
    Folder,
    /// Nothing that is served.
    Nothing,
}

/// What was seen of a file and its siblings. If a later look sees the same, nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Survey {
    path: PlainPath,
    file: Stamp,
    /// In the order of preference; those that are not there, or out of date, are missing.
    siblings: Vec<(Coding, Stamp)>,
}

/// A file and its siblings, ready to be sent.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) survey: Survey,
    plain: Representation,
    encoded: Vec<Representation>,
    /// The names of their codings, in the same order.
    codings: Vec<&'static str>,
}

impl Target {
    /// Looks what the path leads to.
    ///
    /// # Errors
    ///
    /// Only those of a system in trouble: what cannot be had by this path is nothing.
    pub(crate) fn find(
        root: &Root,
        options: &FilesOptions,
        path: &PlainPath,
    ) -> io::Result<Target> {
        if !path.names_folder() {
            return match look(root, path.as_bytes())? {
                Seen::File(file) => Survey::of(root, options, path.clone(), file),
                Seen::Folder => Ok(Target::FolderWithoutSlash),
                Seen::Nothing => Ok(Target::Nothing),
            };
        }
        for name in &options.index {
            let index = path.child(name);
            if let Seen::File(file) = look(root, index.as_bytes())? {
                return Survey::of(root, options, index, file);
            }
        }
        Ok(match look(root, path.as_bytes())? {
            Seen::Folder => Target::Folder,
            Seen::File(_) | Seen::Nothing => Target::Nothing,
        })
    }
}

impl Survey {
    fn of(root: &Root, options: &FilesOptions, path: PlainPath, file: Stamp) -> io::Result<Target> {
        let mut siblings = Vec::new();
        for &coding in &options.precompressed {
            let sibling = [path.as_bytes(), coding.suffix().as_bytes()].concat();
            match look(root, &sibling)? {
                Seen::File(stamp) if !stamp.is_older_than(&file) => siblings.push((coding, stamp)),
                Seen::File(_) | Seen::Folder | Seen::Nothing => {}
            }
        }
        Ok(Target::File(Survey {
            path,
            file,
            siblings,
        }))
    }

    #[cfg(test)]
    pub(crate) fn for_test() -> Survey {
        let found =
            fstat(std::fs::File::open("/proc/self/exe").expect("ourselves")).expect("ourselves");
        Survey {
            path: PlainPath::read(b"/file", crate::options::Dotfiles::Hidden).expect("plain"),
            file: Stamp::of(&found).expect("a file"),
            siblings: Vec::new(),
        }
    }
}

impl Resource {
    /// Opens what was seen. A sibling that cannot be opened is left out.
    ///
    /// # Errors
    ///
    /// If the file itself cannot be opened, or read.
    pub(crate) fn load(
        root: &Root,
        options: &FilesOptions,
        survey: Survey,
    ) -> io::Result<Resource> {
        let path = survey.path.as_bytes();
        let media_type = media_type(os_path(path), options.charset.as_deref());
        let mut saying = Saying {
            media_type: &media_type,
            cache_control: cache_control(&options.cache_rules, options.immutable_hashed, path),
            coding: None,
            varies: !survey.siblings.is_empty(),
        };
        let plain = Representation::load(root.open_below(os_path(path), Purpose::Read)?, saying)?;
        let (mut encoded, mut codings) = (Vec::new(), Vec::new());
        for (coding, _) in &survey.siblings {
            let sibling = [path, coding.suffix().as_bytes()].concat();
            saying.coding = Some(*coding);
            let opened = root.open_below(os_path(&sibling), Purpose::Read);
            if let Ok(made) = opened.and_then(|file| Representation::load(file, saying)) {
                encoded.push(made);
                codings.push(coding.name());
            }
        }
        Ok(Resource {
            survey,
            plain,
            encoded,
            codings,
        })
    }

    #[cfg(test)]
    pub(crate) fn of(survey: Survey, plain: Representation) -> Resource {
        Resource {
            survey,
            plain,
            encoded: Vec::new(),
            codings: Vec::new(),
        }
    }

    /// The representation for a client (RFC 9110 section 12.1).
    pub(crate) fn choose(&self, accepts: AcceptEncoding<'_>) -> &Representation {
        if self.codings.is_empty() {
            return &self.plain;
        }
        accepts
            .choose(&self.codings)
            .and_then(|idx| self.encoded.get(idx))
            .unwrap_or(&self.plain)
    }

    /// The file as it is.
    pub(crate) fn plain(&self) -> &Representation {
        &self.plain
    }

    /// Whether a later look at the same files may say no more than this.
    pub(crate) fn is_settled(&self) -> bool {
        self.all().all(|one| one.is_settled)
    }

    /// Whether sending it never waits for a disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.open_files() == 0
    }

    pub(crate) fn bytes_in_memory(&self) -> u64 {
        self.all()
            .map(|one| match &one.content {
                Content::Memory(bytes) => bytes.len() as u64,
                Content::File(..) => 0,
            })
            .sum()
    }

    pub(crate) fn open_files(&self) -> usize {
        let is_open = |one: &&Representation| matches!(one.content, Content::File(..));
        self.all().filter(is_open).count()
    }

    fn all(&self) -> impl Iterator<Item = &Representation> {
        std::iter::once(&self.plain).chain(&self.encoded)
    }
}

/// What a look at a path has shown.
pub(crate) enum Seen {
    File(Stamp),
    Folder,
    /// Nothing, nothing that we may see, or neither file nor folder.
    Nothing,
}

/// Looks what is there, without opening it.
pub(crate) fn look(root: &Root, path: &[u8]) -> io::Result<Seen> {
    let found = match root.open_below(os_path(path), Purpose::Look) {
        Ok(found) => fstat(&found)?,
        Err(err) if is_absence(&err) => return Ok(Seen::Nothing),
        Err(err) => return Err(err),
    };
    Ok(match Stamp::of(&found) {
        Some(stamp) => Seen::File(stamp),
        None if FileType::from_raw_mode(found.st_mode) == FileType::Directory => Seen::Folder,
        None => Seen::Nothing,
    })
}

/// Whether an error says that there is nothing, and not that the system is in trouble. Who may not look
/// learns no more than who looks for what is missing.
pub(crate) fn is_absence(err: &io::Error) -> bool {
    use rustix::io::Errno;
    let Some(errno) = Errno::from_io_error(err) else {
        return false;
    };
    [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::ACCESS,
        Errno::PERM,
        Errno::LOOP,
        Errno::XDEV,
        Errno::NAMETOOLONG,
        Errno::INVAL,
        // A socket, and a device that is not there.
        Errno::NXIO,
        Errno::NODEV,
    ]
    .contains(&errno)
}

/// A path below the root, as the system wants it.
pub(crate) fn os_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
