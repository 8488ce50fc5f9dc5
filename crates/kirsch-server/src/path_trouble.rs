//! Why a file cannot be made or opened at a path, in words that say what to do about it.
//!
//! The kernel says that something is missing or forbidden; here is found out what, for the files that the operator
//! names: unix sockets and the access log.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::geteuid;

/// What is wrong with a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathTrouble {
    /// A folder above it does not exist.
    FolderMissing(PathBuf),
    /// What stands above it is not a folder.
    NotAFolder(PathBuf),
    /// It is a folder itself.
    IsAFolder,
    /// This user may not write to it, or to the folder that it would be made in.
    Forbidden { user: u32, place: PathBuf },
    /// Nobody may write there.
    ReadOnly,
}

impl PathTrouble {
    /// Looks at once at what is there: a moment later it may be something else. `None` where the system's own words
    /// say as much.
    pub(crate) fn find(path: &Path, source: &io::Error) -> Option<PathTrouble> {
        // The root has no parent, and a relative path ends at an empty one.
        let above = || {
            path.ancestors()
                .skip(1)
                .filter(|folder| !folder.as_os_str().is_empty())
        };
        let exists = |path: &Path| path.symlink_metadata().is_ok();
        match Errno::from_io_error(source)? {
            Errno::NOENT => {
                let missing = above().take_while(|folder| !exists(folder)).last()?;
                Some(PathTrouble::FolderMissing(missing.to_owned()))
            }
            Errno::NOTDIR => {
                let file = above().find(|folder| exists(folder) && !folder.is_dir())?;
                Some(PathTrouble::NotAFolder(file.to_owned()))
            }
            Errno::ISDIR => Some(PathTrouble::IsAFolder),
            Errno::ACCESS | Errno::PERM => {
                let place = if exists(path) {
                    path
                } else {
                    above().find(|folder| exists(folder))?
                };
                Some(PathTrouble::Forbidden {
                    user: geteuid().as_raw(),
                    place: place.to_owned(),
                })
            }
            Errno::ROFS => Some(PathTrouble::ReadOnly),
            _ => None,
        }
    }
}

impl fmt::Display for PathTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathTrouble::FolderMissing(folder) => write!(
                f,
                "the folder {} does not exist; make it, or choose another path",
                folder.display()
            ),
            PathTrouble::NotAFolder(file) => {
                write!(f, "{} is not a folder; choose another path", file.display())
            }
            PathTrouble::IsAFolder => f.write_str("it is a folder; write the path of a file in it"),
            PathTrouble::Forbidden { user, place } => write!(
                f,
                "the user with id {user} may not write to {}; give the right to it, or choose another path",
                place.display()
            ),
            PathTrouble::ReadOnly => {
                f.write_str("its file system is read-only; choose another path")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn the_part_of_the_path_that_is_wrong_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = folder.path();
        fs::write(here.join("file"), "").expect("a file");
        let cases = [
            (
                here.join("no/such/file"),
                PathTrouble::FolderMissing(here.join("no")),
            ),
            (
                here.join("file/inside"),
                PathTrouble::NotAFolder(here.join("file")),
            ),
            (here.to_owned(), PathTrouble::IsAFolder),
        ];
        for (path, trouble) in cases {
            let error = File::create(&path).expect_err("it cannot be made");
            assert_eq!(PathTrouble::find(&path, &error), Some(trouble));
        }
    }

    #[test]
    fn who_may_not_write_where_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&file, "").expect("a file");
        let place = |path: &Path| match PathTrouble::find(path, &Errno::ACCESS.into()) {
            Some(PathTrouble::Forbidden { place, .. }) => place,
            other => panic!("{other:?}"),
        };
        assert_eq!(place(&file), file);
        assert_eq!(place(&new), folder.path());
    }

    #[test]
    fn every_trouble_says_what_to_do() {
        let troubles = [
            PathTrouble::FolderMissing("/run/blog".into()),
            PathTrouble::NotAFolder("/run/blog".into()),
            PathTrouble::IsAFolder,
            PathTrouble::Forbidden {
                user: 33,
                place: "/run".into(),
            },
            PathTrouble::ReadOnly,
        ];
        for trouble in troubles {
            let text = trouble.to_string();
            assert!(
                text.contains("; ") && text.contains("path"),
                "{trouble:?}: {text}"
            );
        }
    }
}
