//! The paths of routes: prefixes that end where a segment does.

use std::fmt;
use std::str::FromStr;

use super::error::RouteError;
use super::redirect::encode_decoded;

/// A prefix of paths: `/static` is one of `/static` and `/static/a.css`, and not of `/staticx`.
///
/// Written decoded, and compared with the decoded path of a request: what is written with `%` in a request
/// means what it stands for. A slash at the end changes nothing; `/` is a prefix of every path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathPrefix {
    /// Without a slash at the end, so the prefix of every path is empty.
    text: String,
}

impl PathPrefix {
    /// The prefix, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Writes it as a request would have it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_decoded(self.text.as_bytes(), out);
    }

    /// What is left of this decoded path behind it; `None` if it is no prefix. `*` lies nowhere, so it is left whole.
    pub(super) fn behind<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match path {
            b"*" => Some(path),
            _ if self.matches(path) => Some(&path[self.text.len()..]),
            _ => None,
        }
    }

    /// Whether it is a prefix of this decoded path.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.text.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || self.text.is_empty())
    }
}

impl FromStr for PathPrefix {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<PathPrefix, RouteError> {
        if !text.starts_with('/') {
            return Err(RouteError::PathStart);
        }
        if text.contains('\0') {
            return Err(RouteError::PathNul);
        }
        Ok(PathPrefix {
            text: text.trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() {
            "/"
        } else {
            &self.text
        })
    }
}
