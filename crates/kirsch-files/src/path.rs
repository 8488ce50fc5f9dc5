//! The path of a request as a path below the root: decoded once, and refused if it is not plain.
//!
//! Nothing in here looks at a file. What is refused is answered as if nothing were there (404), so that
//! nobody learns whether there is.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use kirsch_http::decode_path;

use crate::options::Dotfiles;

/// The one hidden folder that is public by its purpose (RFC 8615), at the root only.
const WELL_KNOWN: &[u8] = b".well-known";

/// A path below the root: segments between slashes, without one in front.
///
/// **Invariant:** no segment is empty, `.` or `..`, none holds a NUL or came from an encoded slash, and
/// none is hidden where hidden names are not served. The end may be a slash, for a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlainPath(Vec<u8>);

impl PlainPath {
    /// Reads the rest of a request's path behind the mount, as received.
    ///
    /// An encoded slash is refused: no name of a file holds one, and whoever guards paths in front of
    /// us may not take it for a separator. So are empty segments, which guards may not see through either,
    /// and which would make `//host/` of a redirect's target. Clients resolve `.` and `..` themselves
    /// (RFC 3986 section 5.2.4); who sends them, raw or encoded, is up to something.
    pub(crate) fn read(raw: &[u8], dotfiles: Dotfiles) -> Option<PlainPath> {
        let raw = raw.strip_prefix(b"/").unwrap_or(raw);
        let path = match memchr::memchr(b'%', raw) {
            None => raw.to_vec(),
            Some(_) => decode(raw)?,
        };
        let path = PlainPath(path);
        path.is_plain(dotfiles).then_some(path)
    }

    /// Reads the path of a file from a setting, which is not encoded and may name a hidden one.
    pub(crate) fn of_file(path: &[u8]) -> Option<PlainPath> {
        let path = PlainPath(path.strip_prefix(b"/").unwrap_or(path).to_vec());
        (path.is_plain(Dotfiles::Served) && !path.names_folder()).then_some(path)
    }

    /// A relative path as the system has it.
    pub(crate) fn of_components(path: &Path) -> Option<PlainPath> {
        let names: Vec<&[u8]> = path
            .components()
            .map(|part| part.as_os_str().as_bytes())
            .collect();
        PlainPath::of_file(&names.join(&b'/'))
    }

    /// The root, or a path that ends with a slash.
    pub(crate) fn names_folder(&self) -> bool {
        matches!(self.0.last(), None | Some(b'/'))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A file in the folder that this path names.
    pub(crate) fn child(&self, name: &str) -> PlainPath {
        debug_assert!(self.names_folder());
        PlainPath([&self.0, name.as_bytes()].concat())
    }

    fn is_plain(&self, dotfiles: Dotfiles) -> bool {
        if self.0.is_empty() {
            return true;
        }
        if memchr::memchr(0, &self.0).is_some() {
            return false;
        }
        let segments = self.0.strip_suffix(b"/").unwrap_or(&self.0);
        segments
            .split(|&byte| byte == b'/')
            .enumerate()
            .all(|(idx, segment)| match segment {
                b"" | b"." | b".." => false,
                WELL_KNOWN if idx == 0 => true,
                [b'.', ..] => dotfiles == Dotfiles::Served,
                _ => true,
            })
    }
}

/// Decodes; `None` if a slash was encoded.
fn decode(raw: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(raw.len());
    decode_path(raw, &mut decoded);
    let slashes = |bytes: &[u8]| memchr::memchr_iter(b'/', bytes).count();
    (slashes(&decoded) == slashes(raw)).then_some(decoded)
}

/// The last segment of a path, without a slash behind it.
pub(crate) fn last_segment(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    match memchr::memrchr(b'/', path) {
        Some(at) => &path[at + 1..],
        None => path,
    }
}

/// Appends a name as a segment of a URI's path: all but the unreserved characters encoded (RFC 3986 section 2.3).
pub(crate) fn encode_segment(name: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(raw: &str) -> Option<String> {
        let path = PlainPath::read(raw.as_bytes(), Dotfiles::Hidden)?;
        Some(path.as_bytes().escape_ascii().to_string())
    }

    #[test]
    fn plain_paths_are_decoded_once() {
        for (raw, expected) in [
            ("", ""),
            ("/", ""),
            ("/a", "a"),
            ("/a/", "a/"),
            ("/a/b.c", "a/b.c"),
            ("/a%20b/%C3%A9", r"a b/\xc3\xa9"),
            ("/%2541", "%41"),
            ("/a%zz", "a%zz"),
            ("/a+b;c=1", "a+b;c=1"),
            ("/a..b/...c".replace("/...c", "/c...").as_str(), "a..b/c..."),
            ("/.well-known/acme", ".well-known/acme"),
            ("/a\\..\\b", r"a\\..\\b"),
        ] {
            assert_eq!(read(raw).as_deref(), Some(expected), "{raw}");
        }
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for raw in [
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/a/../b",
            "/a/..",
            "/a/.",
            "/./a",
            "/../",
            "/%2e%2e/a",
            "/.%2E/a",
            "/a/%2e",
            "/a%2fb",
            "/a%2F..%2Fb",
            "/..%2f",
            "/%00",
            "/a%00.html",
            "/.git/config",
            "/a/.htaccess",
            "/%2Egit",
            "/...",
            "/a/.well-known/b",
            "/.well-known/.a",
        ] {
            assert_eq!(read(raw), None, "{raw}");
        }
    }

    #[test]
    fn hidden_names_are_served_where_they_are_wanted_and_dots_alone_never() {
        let read = |raw: &str| PlainPath::read(raw.as_bytes(), Dotfiles::Served);
        assert!(read("/.git/config").is_some());
        assert_eq!(read("/a/../b"), None);
        assert_eq!(read("/."), None);
    }

    #[test]
    fn names_are_encoded_for_links() {
        let mut link = String::new();
        encode_segment(b"a b/<\"&'>?#%:\xff~", &mut link);
        assert_eq!(link, "a%20b%2F%3C%22%26%27%3E%3F%23%25%3A%FF~");
        assert_eq!(last_segment(b"/a/b/"), b"b");
        assert_eq!(last_segment(b"/static"), b"static");
    }

    proptest! {
        /// Whatever is sent, what is accepted has only plain segments, as the system takes them apart.
        #[test]
        fn no_accepted_path_goes_up_or_in_circles(raw in "(/|%2[fF]|%2[eE]|\\.|%00|a|%|%2|\\\\|;){0,12}") {
            if let Some(path) = PlainPath::read(raw.as_bytes(), Dotfiles::Served) {
                let path = path.as_bytes();
                prop_assert!(!path.contains(&0));
                let system = Path::new(std::ffi::OsStr::from_bytes(path));
                let names: Vec<_> = system.components().map(|part| {
                    assert!(matches!(part, std::path::Component::Normal(_)), "{raw}: {part:?}");
                    part.as_os_str().as_bytes()
                }).collect();
                // Nothing was left out: no empty segment, no dot, no slash that was encoded.
                prop_assert_eq!(names.join(&b'/'), path.strip_suffix(b"/").unwrap_or(path));
                let slashes = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'/').count();
                let before = raw.strip_prefix('/').unwrap_or(&raw).as_bytes();
                prop_assert_eq!(slashes(path), slashes(before));
            }
        }
    }
}
