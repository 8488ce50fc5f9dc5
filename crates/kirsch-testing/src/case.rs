//! The conformance cases of `conformance/http1.json`, read strictly: an unknown key is an error.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "conformance/README.md describes them")]
pub struct Case {
    pub id: String,
    pub group: String,
    pub level: String,
    pub rfc: String,
    pub description: String,
    request: String,
    #[serde(default)]
    expand: Vec<(String, String, usize)>,
    #[serde(default)]
    pub config: Config,
    #[serde(default)]
    pub half_close: bool,
    #[serde(default)]
    pub steps: Vec<Step>,
    #[serde(default)]
    pub needs: Vec<String>,
    #[serde(default)]
    pub does: Does,
    pub expect: Expect,
    #[serde(default)]
    pub rfc_also_allows: Vec<u16>,
    #[serde(default)]
    pub note: String,
}

/// What becomes of a request that is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "conformance/README.md describes them")]
pub enum Does {
    #[default]
    Plain,
    Repaired,
    Ignored,
}

/// Settings other than the defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "conformance/README.md describes them")]
pub struct Config {
    pub body_bytes: Option<u64>,
}

/// What the client does, one after another.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "conformance/README.md describes them")]
pub enum Step {
    Send(String),
    Await(u16),
    DripMs(u64),
    Rcvbuf(usize),
    Read(bool),
    Reset(bool),
}

/// What must be seen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "conformance/README.md describes them")]
pub struct Expect {
    pub status: u16,
    pub connection: Connection,
    pub responses: usize,
    pub body_reaches_app: Option<bool>,
    pub app_body: Option<String>,
    #[serde(default)]
    pub app_env: BTreeMap<String, AnyOf>,
    pub interim: Option<Vec<u16>>,
    #[serde(default)]
    pub must_reach: Vec<String>,
    #[serde(default)]
    pub must_not_reach: Vec<String>,
    pub within_s: Option<f64>,
    #[serde(default)]
    pub wire: Vec<WireCheck>,
}

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "conformance/README.md describes them")]
pub enum Connection {
    Keep,
    Close,
}

/// The value of an environ entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names say it")]
pub enum AnyOf {
    One(String),
    Several(Vec<String>),
    Absent(()),
}

/// A check on all bytes that the server sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "conformance/README.md describes them")]
pub enum WireCheck {
    Contains(String),
    Lacks(String),
    Ends(String),
    NotEnds(String),
    Count(String, usize),
}

impl Case {
    /// The request as bytes, with its placeholders expanded.
    pub fn request(&self) -> Vec<u8> {
        let expanded = self
            .expand
            .iter()
            .fold(self.request.clone(), |text, (placeholder, part, times)| {
                text.replace(placeholder, &part.repeat(*times))
            });
        latin1(&expanded)
    }

    /// The request as it is written in the file, before its placeholders are expanded.
    pub fn written(&self) -> &str {
        &self.request
    }

    /// The placeholders of the request: which, the text it stands for, and how many times.
    pub fn placeholders(&self) -> &[(String, String, usize)] {
        &self.expand
    }

    /// Whether the server answers in its own name, or closes; otherwise the application is called.
    ///
    /// An application's own errors keep the connection, or come over a route that streams.
    pub fn is_refused(&self) -> bool {
        let expect = &self.expect;
        expect.status == 0
            || (expect.status >= 400
                && expect.connection == Connection::Close
                && !self.needs.iter().any(|need| need == "streaming"))
    }

    /// All that the client sends, in pieces: what stands before and behind each wait.
    pub fn pieces(&self) -> Vec<Vec<u8>> {
        let mut pieces = vec![Vec::new()];
        for step in &self.steps {
            match (step, pieces.last_mut()) {
                (Step::Send(text), Some(piece)) if text == "%request%" => {
                    piece.extend(self.request());
                }
                (Step::Send(text), Some(piece)) => piece.extend(latin1(text)),
                (Step::Await(_), _) => pieces.push(Vec::new()),
                _ => {}
            }
        }
        if self.steps.is_empty() {
            vec![self.request()]
        } else {
            pieces
        }
    }
}

impl AnyOf {
    /// Whether `value` is what was expected.
    pub fn allows(&self, value: Option<&str>) -> bool {
        match self {
            AnyOf::One(expected) => value == Some(expected),
            AnyOf::Several(expected) => {
                value.is_some_and(|value| expected.iter().any(|one| one == value))
            }
            AnyOf::Absent(()) => value.is_none(),
        }
    }
}

impl WireCheck {
    /// Whether the bytes pass.
    pub fn holds(&self, wire: &[u8]) -> bool {
        let count = |text: &str| memchr::memmem::find_iter(wire, &latin1(text)).count();
        match self {
            WireCheck::Contains(text) => count(text) > 0,
            WireCheck::Lacks(text) => count(text) == 0,
            WireCheck::Ends(text) => wire.ends_with(&latin1(text)),
            WireCheck::NotEnds(text) => !wire.ends_with(&latin1(text)),
            WireCheck::Count(text, times) => count(text) == *times,
        }
    }
}

/// Reads all cases.
///
/// # Panics
///
/// If the file is not there or not as it should be: then the tests mean nothing.
pub fn load_cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/http1.json");
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// Each character is one byte.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).expect("the cases are Latin-1"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_cases_are_well_formed() {
        let mut ids = BTreeSet::new();
        for case in load_cases() {
            assert!(ids.insert(case.id.clone()), "{} is there twice", case.id);
            assert_eq!(case.id.get(..2), Some(case.group.as_str()), "{}", case.id);
            assert!(
                ["MUST", "SHOULD", "MAY", "SEC"].contains(&case.level.as_str()),
                "{}",
                case.id
            );
            assert!(
                !case.rfc_also_allows.contains(&case.expect.status),
                "{}",
                case.id
            );
            let known = ["time", "socket", "streaming", "setting", "files"];
            assert!(
                case.needs.iter().all(|need| known.contains(&need.as_str())),
                "{}",
                case.id
            );
            assert!(
                case.does == Does::Plain || !case.is_refused(),
                "{} is refused, so that nothing else is done",
                case.id
            );
            assert_eq!(
                case.expect.responses == 0,
                case.expect.status == 0,
                "{}",
                case.id
            );
            assert_eq!(
                case.expect.body_reaches_app == Some(true),
                case.expect.app_body.is_some(),
                "{}",
                case.id
            );
        }
    }
}
