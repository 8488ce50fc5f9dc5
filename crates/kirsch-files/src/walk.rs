//! Opens a path below a folder name by name, where the kernel has no `openat2`.
//!
//! Nothing is ever opened through a link: a link is read, and its target takes its place in the path.
//! `..` goes back to the folder that was opened before, so that neither it nor a rename can lead out.
//! It answers as `openat2` with `RESOLVE_BENEATH` does: the test below compares both on random trees.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

use crate::root::Purpose;

/// So many links are followed on one path, as in the kernel.
const MOST_LINKS: u32 = 40;

/// Opens what the path leads to from the folder.
pub(crate) fn walk(root: BorrowedFd<'_>, path: &Path, purpose: Purpose) -> Result<OwnedFd, Errno> {
    let mut names = VecDeque::new();
    put_in_front(&mut names, path)?;
    // The folders from the root down to where we are.
    let mut folders: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        if name == "." {
            continue;
        }
        if name == ".." {
            folders.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let here = folders.last().map_or(root, AsFd::as_fd);
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(here, &name, look, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&found)?.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = readlinkat(&found, c"", Vec::new())?;
                let target = OsString::from_vec(target.into_bytes());
                put_in_front(&mut names, Path::new(&target))?;
            }
            FileType::Directory => folders.push(found),
            _ if names.is_empty() => {
                return match purpose {
                    Purpose::Look => Ok(found),
                    // By its name once more. If it is a link by now, it is not followed.
                    Purpose::Read => {
                        let flags = purpose.flags() | OFlags::NOFOLLOW;
                        openat(here, &name, flags, Mode::empty())
                    }
                };
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    let here = folders.last().map_or(root, AsFd::as_fd);
    openat(here, c".", purpose.flags(), Mode::empty())
}

/// Puts the names of a path in front of what is left of another one.
fn put_in_front(names: &mut VecDeque<OsString>, path: &Path) -> Result<(), Errno> {
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT);
    }
    // A slash or a dot at the end wants a folder, and "name/." says so.
    let bytes = path.as_os_str().as_bytes();
    if bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
        names.push_front(OsString::from("."));
    }
    let mut place = 0;
    for component in path.components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::ParentDir => "..".as_ref(),
            Component::CurDir => continue,
            Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV),
        };
        names.insert(place, name.to_owned());
        place += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::root::Resolver;

    /// What is made in a tree, at a path of one to three names.
    #[derive(Clone, Debug)]
    enum Made {
        Folder,
        File,
        Link(String),
    }

    fn name() -> impl Strategy<Value = String> {
        "[abc]"
    }

    fn path(most: usize) -> impl Strategy<Value = String> {
        let name = prop_oneof![4 => name(), 2 => Just("..".to_owned()), 1 => Just(".".to_owned())];
        (proptest::collection::vec(name, 1..=most), any::<bool>()).prop_map(|(names, slash)| {
            format!("{}{}", names.join("/"), if slash { "/" } else { "" })
        })
    }

    fn made() -> impl Strategy<Value = (String, Made)> {
        let place = proptest::collection::vec(name(), 1..=3).prop_map(|names| names.join("/"));
        let what = prop_oneof![
            3 => Just(Made::Folder),
            2 => Just(Made::File),
            4 => path(4).prop_map(Made::Link),
            1 => Just(Made::Link("/".to_owned())),
            1 => Just(Made::Link("/proc/self/root".to_owned())),
        ];
        (place, what)
    }

    /// Makes a tree in `top/root`, with files of the same names beside it that nobody may reach.
    fn plant(top: &Path, tree: &[(String, Made)]) -> PathBuf {
        let root = top.join("root");
        fs::create_dir(&root).expect("a folder");
        for name in ["a", "b"] {
            fs::write(top.join(name), "outside").expect("a file");
        }
        fs::create_dir_all(top.join("c/a")).expect("a folder");
        for (place, made) in tree {
            let place = root.join(place);
            // What cannot be made, since something is in the way, is left out. Nothing is made through a
            // link that leads out: the kernel says where we are.
            let Some(parent) = place.parent() else {
                continue;
            };
            let inside = parent.canonicalize().is_ok_and(|it| it.starts_with(&root));
            if !inside {
                continue;
            }
            let _ = match made {
                Made::Folder => fs::create_dir(&place),
                Made::File => fs::File::create_new(&place).map(drop),
                Made::Link(target) => symlink(target, &place),
            };
        }
        root
    }

    fn shown(opened: &Result<OwnedFd, Errno>) -> Option<PathBuf> {
        let descriptor = opened.as_ref().ok()?.as_fd();
        let link = format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&descriptor)
        );
        Some(fs::read_link(link).expect("an open descriptor"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        /// The kernel and we open the same, or both nothing; and what is opened is below the root.
        #[test]
        fn no_path_leaves_the_root_and_both_ways_agree(
            tree in proptest::collection::vec(made(), 0..14),
            paths in proptest::collection::vec(path(5), 1..10),
        ) {
            let top = tempfile::tempdir().expect("a folder");
            let top = top.path().canonicalize().expect("a folder");
            let root = plant(&top, &tree);
            let folder = OwnedFd::from(fs::File::open(&root).expect("a folder"));
            for path in &paths {
                for purpose in [Purpose::Look, Purpose::Read] {
                    let open = |how: Resolver| how.open(&folder, Path::new(path), purpose);
                    let (walked, kernel) = (open(Resolver::Walk), open(Resolver::Kernel));
                    let (walked_to, kernel_to) = (shown(&walked), shown(&kernel));
                    if let Some(to) = &walked_to {
                        prop_assert!(to.starts_with(&root), "{path} leads to {}", to.display());
                    }
                    if kernel.as_ref().err() != Some(&Errno::NOSYS) {
                        prop_assert_eq!(&walked_to, &kernel_to, "{}: {:?} {:?}", path, walked, kernel);
                        prop_assert_eq!(walked.err(), kernel.err(), "{}", path);
                    }
                }
            }
        }
    }

    #[test]
    fn links_that_go_round_end() {
        let top = tempfile::tempdir().expect("a folder");
        symlink("b", top.path().join("a")).expect("a link");
        symlink("a", top.path().join("b")).expect("a link");
        let folder = OwnedFd::from(fs::File::open(top.path()).expect("a folder"));
        for how in [Resolver::Walk, Resolver::Kernel] {
            let opened = how.open(&folder, Path::new("a"), Purpose::Look);
            assert_eq!(opened.err(), Some(Errno::LOOP));
        }
    }
}
