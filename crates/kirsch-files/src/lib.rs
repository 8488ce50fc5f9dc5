//! Static files for Kirsch: a folder behind a [`Gateway`](kirsch_server::Gateway).
//!
//! # The journey of a request
//!
//! 1. [`path`] decodes the path once and refuses what is not plain.
//! 2. [`cache`] remembers what was found there; an entry that is younger than a second counts.
//! 3. [`resource`] looks what the path leads to: a file, its precompressed siblings, a folder.
//!    [`root`] opens it and nothing outside, with the kernel's help or through [`walk`].
//! 4. [`representation`] reads small files, makes the entity tag and the head.
//! 5. [`asked`] gathers what the request wants and decides by the rules of `kirsch-http`.
//! 6. [`send`] sends it: from memory, or with `sendfile`.
//!
//! [`named`] sends files that an application names, with the application's head.
//!
//! # Where it waits
//!
//! Nowhere but on threads that may: [`Files::lane`] names [`Lane::Inline`](kirsch_server::Lane::Inline) only for
//! what lies in memory and was looked at within the last second. The reactor sends pieces of files on the
//! pool's long lane, so a cold disk never holds it up either.
//!
//! **Invariant:** only this crate opens static files, and only through [`root`].

#![forbid(unsafe_code)]

mod asked;
mod cache;
mod caching;
mod files;
mod listing;
mod media_type;
mod named;
mod options;
mod path;
mod representation;
mod resource;
mod root;
mod send;
mod walk;

pub use caching::{CacheRule, CacheRuleError};
pub use files::{Files, FilesError};
pub use named::{Name, NamedError, NamedFiles};
pub use options::{Coding, Dotfiles, FilesOptions, Symlinks};
