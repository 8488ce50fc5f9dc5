//! What an operator may want of a folder of files, and why the defaults are what they are.

use std::path::PathBuf;
use std::time::Duration;

use crate::caching::CacheRule;

/// How a folder is served. Made with [`FilesOptions::new`], then changed field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesOptions {
    /// The folder whose files are served. It may be a symbolic link, which is looked at again once in
    /// [`FilesOptions::check_interval`]: a release is switched by switching the link.
    pub root: PathBuf,
    /// The part of the path that leads to the folder, such as `/static`; it begins with a slash and ends
    /// without one. Used by the [`Gateway`](kirsch_server::Gateway) only: who routes hands over the rest of the
    /// path itself ([`Files::serve`](crate::Files::serve)). Default: empty, the whole path is below the root.
    pub mount: String,
    /// What is served for a folder: the first of these that is there. Default: `index.html`.
    pub index: Vec<String>,
    /// Whether a folder without an index file is answered with a list of what is in it, at most 10,000
    /// entries, instead of 404. Default: no, since a list shows what nobody linked to.
    pub listing: bool,
    /// A file, relative to the root, that is served with 200 for paths that lead to nothing: the entry of an
    /// application that does its routing in the browser. Only where the last segment has no dot, so that a
    /// missing script is missing, and never for hidden or malformed paths. Default: none.
    pub fallback: Option<String>,
    /// Whether names that begin with a dot are served and listed. Default: they are not, except what is in
    /// `/.well-known/` (RFC 8615): `.git` and `.env` lie in many folders by accident.
    pub dotfiles: Dotfiles,
    /// Where symbolic links may lead. Default: not out of the root.
    pub symlinks: Symlinks,
    /// Which compressed siblings are looked for beside a file, the preferred one first: for `app.js`
    /// they are `app.js.br`, `app.js.zst` and `app.js.gz`. One that is older than the file itself is taken for
    /// out of date and not served. Default: all three; what a client that takes several gets is Brotli,
    /// which is the smallest for text.
    pub precompressed: Vec<Coding>,
    /// `Cache-Control` by name; the first rule that matches counts. Default: none, so that no field is
    /// sent and clients ask again when they see fit.
    pub cache_rules: Vec<CacheRule>,
    /// Whether a file whose name holds a hash of its content, such as `app.3f2a9c1b.js`, is sent with
    /// `Cache-Control: public, max-age=31536000, immutable` if no rule matches. A hash is a part of the name
    /// between dots or hyphens of 8 or more lower-case hexadecimal digits, of which at least one is a letter
    /// and one is not, so that no date and no word is one. Default: yes.
    pub immutable_hashed: bool,
    /// The charset that is said of text types (`text/*`). Default: `utf-8`, what text has been for twenty years;
    /// `None` leaves it to the document.
    pub charset: Option<String>,
    /// How long what is known of a file counts without a look at it. Default: 1 second.
    pub check_interval: Duration,
    /// So many files are remembered; 0 remembers none. Of them at most 128 are open. Default: 1,024.
    pub cached_files: usize,
    /// So many bytes of content are kept in memory, of files of at most 16 KiB. Default: 32 MiB.
    pub cached_bytes: u64,
}

/// Whether names that begin with a dot are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dotfiles {
    /// They are not there, except `.well-known` at the root.
    #[default]
    Hidden,
    /// They are files like others.
    Served,
}

/// Where symbolic links may lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// Relative ones may lead to what is below the root; others, absolute ones among them, lead to nothing.
    #[default]
    WithinRoot,
    /// Anywhere. Who may write in the folder can then publish any file that the server may read.
    Followed,
}

/// A content coding of which precompressed siblings are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstandard,
    /// `gzip` (RFC 1952).
    Gzip,
}

impl Coding {
    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstandard => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// What stands behind the name of the file.
    pub fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstandard => ".zst",
            Coding::Gzip => ".gz",
        }
    }
}

impl FilesOptions {
    /// The defaults for a folder.
    pub fn new(root: impl Into<PathBuf>) -> FilesOptions {
        FilesOptions {
            root: root.into(),
            mount: String::new(),
            index: vec!["index.html".to_owned()],
            listing: false,
            fallback: None,
            dotfiles: Dotfiles::default(),
            symlinks: Symlinks::default(),
            precompressed: vec![Coding::Brotli, Coding::Zstandard, Coding::Gzip],
            cache_rules: Vec::new(),
            immutable_hashed: true,
            charset: Some("utf-8".to_owned()),
            check_interval: Duration::from_secs(1),
            cached_files: 1024,
            cached_bytes: 32 * 1024 * 1024,
        }
    }
}
