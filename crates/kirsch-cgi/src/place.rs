//! Which script a path means: the path is walked through a folder until a file is met.
//!
//! **Invariant:** no script lies outside the folder, whatever the path says and wherever links lead.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where scripts are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Every executable file in a folder and the folders in it; the folder's real path.
    Folder(PathBuf),
    /// One script answers all paths; its real path.
    Script(PathBuf),
}

/// A script, and how the path led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The file, without links.
    pub(crate) file: PathBuf,
    /// The part of the path, behind the mount, that named it.
    pub(crate) name: Vec<u8>,
    /// What is left: empty, or with a slash in front.
    pub(crate) info: Vec<u8>,
}

/// Why a path means no script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing is there that may be named.
    Missing,
    /// A file is there that is no script, or one that wants to speak to the client itself.
    Forbidden,
}

impl Place {
    pub(crate) fn folder(path: &Path) -> io::Result<Place> {
        let real = fs::canonicalize(path)?;
        match fs::metadata(&real)?.is_dir() {
            true => Ok(Place::Folder(real)),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(crate) fn script(path: &Path) -> io::Result<Place> {
        let real = fs::canonicalize(path)?;
        match check(&real) {
            Ok(()) => Ok(Place::Script(real)),
            Err(Refusal::Missing) => Err(io::ErrorKind::NotFound.into()),
            Err(Refusal::Forbidden) => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// Finds the script that a path means. The path is decoded, without the mount, and empty or with a slash in front.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Found, Refusal> {
        let root = match self {
            Place::Folder(root) => root,
            Place::Script(file) => {
                check(file)?;
                return Ok(Found {
                    file: file.clone(),
                    name: Vec::new(),
                    info: path.to_vec(),
                });
            }
        };
        let mut end = 0;
        let mut so_far = root.clone();
        while path.get(end) == Some(&b'/') {
            let start = end + 1;
            let rest = &path[start..];
            let len = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            let segment = &rest[..len];
            // Neither "." and ".." nor what is hidden; an empty one would name the folder again.
            if segment.is_empty() || segment[0] == b'.' || segment.contains(&0) {
                return Err(Refusal::Missing);
            }
            so_far.push(OsStr::from_bytes(segment));
            end = start + len;
            // Links are followed, but not out of the folder.
            so_far = fs::canonicalize(&so_far).map_err(|_| Refusal::Missing)?;
            if !so_far.starts_with(root) {
                return Err(Refusal::Missing);
            }
            if fs::metadata(&so_far).is_ok_and(|meta| meta.is_dir()) {
                continue;
            }
            if segment.starts_with(b"nph-") {
                return Err(Refusal::Forbidden);
            }
            check(&so_far)?;
            return Ok(Found {
                file: so_far,
                name: path[..end].to_vec(),
                info: path[end..].to_vec(),
            });
        }
        Err(Refusal::Missing)
    }

    /// The file that `PATH_INFO` would name in the folder (section 4.1.6), if it stays in there.
    pub(crate) fn translate(&self, info: &[u8]) -> Option<PathBuf> {
        let root = match self {
            Place::Folder(root) => root.as_path(),
            Place::Script(file) => file.parent()?,
        };
        let below = info.strip_prefix(b"/")?;
        let climbs = below.split(|&byte| byte == b'/').any(|it| it == b"..");
        (!climbs && !below.starts_with(b"/")).then(|| root.join(OsStr::from_bytes(below)))
    }
}

/// Whether a file can be run. Its own mode says so, not who we are: root may run nothing else either.
fn check(file: &Path) -> Result<(), Refusal> {
    let meta = fs::metadata(file).map_err(|_| Refusal::Missing)?;
    if !meta.is_file() {
        return Err(Refusal::Missing);
    }
    match meta.permissions().mode() & 0o111 {
        0 => Err(Refusal::Forbidden),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("cgi/in/deep")).expect("a folder");
        fs::create_dir(at("cgi/.git")).expect("a folder");
        for (path, mode) in [
            ("cgi/run", 0o755),
            ("cgi/in/deep/run", 0o755),
            ("cgi/text", 0o644),
            ("cgi/nph-run", 0o755),
            ("cgi/.hidden", 0o755),
            ("cgi/.git/hook", 0o755),
            ("outside", 0o755),
        ] {
            fs::write(at(path), "").expect("a file");
            fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).expect("its mode");
        }
        for (target, link) in [
            ("../outside", "cgi/out"),
            ("in/deep", "cgi/link"),
            ("..", "cgi/up"),
        ] {
            std::os::unix::fs::symlink(target, at(link)).expect("a link");
        }
        folder
    }

    #[test]
    fn a_path_is_walked_to_the_first_file() {
        let folder = folder();
        let place = Place::folder(&folder.path().join("cgi")).expect("a folder");
        for (path, expected) in [
            ("/run", Ok(("/run", ""))),
            ("/run/", Ok(("/run", "/"))),
            ("/run/a//../b", Ok(("/run", "/a//../b"))),
            ("/in/deep/run/x", Ok(("/in/deep/run", "/x"))),
            ("/link/run/x", Ok(("/link/run", "/x"))),
            ("", Err(Refusal::Missing)),
            ("/", Err(Refusal::Missing)),
            ("/in", Err(Refusal::Missing)),
            ("/in/", Err(Refusal::Missing)),
            ("/nothing", Err(Refusal::Missing)),
            ("//run", Err(Refusal::Missing)),
            ("/./run", Err(Refusal::Missing)),
            ("/../outside", Err(Refusal::Missing)),
            ("/in/../run", Err(Refusal::Missing)),
            ("/out", Err(Refusal::Missing)),
            ("/up/outside", Err(Refusal::Missing)),
            ("/up/cgi/run", Err(Refusal::Missing)),
            ("/.hidden", Err(Refusal::Missing)),
            ("/.git/hook", Err(Refusal::Missing)),
            ("/text", Err(Refusal::Forbidden)),
            ("/nph-run", Err(Refusal::Forbidden)),
        ] {
            let found = place.find(path.as_bytes());
            let found = found.map(|it| (it.name, it.info));
            let expected =
                expected.map(|(name, info)| (name.as_bytes().to_vec(), info.as_bytes().to_vec()));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn one_script_answers_all() {
        let folder = folder();
        let place = Place::script(&folder.path().join("cgi/run")).expect("a script");
        let found = place.find(b"/any/thing").expect("it is there");
        assert_eq!(
            (found.name.as_slice(), found.info.as_slice()),
            (&b""[..], &b"/any/thing"[..])
        );
        assert!(Place::script(&folder.path().join("cgi/text")).is_err());
        assert!(Place::folder(&folder.path().join("cgi/text")).is_err());
    }

    #[test]
    fn a_translated_path_stays_in_the_folder() {
        let place = Place::Folder(PathBuf::from("/srv"));
        for (info, expected) in [
            ("/a/b", Some("/srv/a/b")),
            ("/", Some("/srv/")),
            ("", None),
            ("/../etc", None),
            ("//etc", None),
        ] {
            assert_eq!(
                place.translate(info.as_bytes()),
                expected.map(PathBuf::from),
                "{info}"
            );
        }
    }
}
