//! `docs/concepts/http-details.md`: every conformance case as a line of a table.
//!
//! The words for groups stand here; everything else is read from `conformance/http1.json`.
//! What a verdict means in prose is decided in [`outcome`].

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

use kirsch_testing::{AnyOf, Case, Connection, Does, load_cases};

const INTRODUCTION: &str = "\
# HTTP in detail

What Kirsch serves, puts in order, leaves without effect and refuses, and why: one line for each case of [conformance/](../../conformance/README.md), which the tests play over sockets.
The shorter page is [HTTP](http.md).
This one is written by `cargo run -p xtask -- docs`; a change begins in the case.
";

const LEGEND: &str = "\
- **Served** means that your application gets the request as it was sent.
- **Put in order** means that it is served in the one form in which it can be understood.
- **Without effect** means that it is served, and what the line names is not acted on.
- A number of 400 and above is the server's own answer; the connection closes behind it, and nothing that was sent behind the request is looked at.

The last column names the rule: MUST and SHOULD as in the RFC, *open* where the RFC leaves the choice, *hardening* where it says nothing.
";

/// Longer ones say less than the description does.
const LONGEST_SAMPLE: usize = 64;

/// Of the keys that a case pins, so many are shown.
const MOST_KEYS: usize = 2;

/// What every request has, so that showing it tells nothing.
const USUAL_LINES: [&str; 14] = [
    "",
    "GET /echo HTTP/1.1",
    "POST /echo HTTP/1.1",
    "GET /two HTTP/1.1",
    "GET /smuggled HTTP/1.1",
    "Host: a.test",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "hello",
    "helloGET /two HTTP/1.1",
    "5",
    "0",
    "X-After: 1",
    "Content-Length: 40",
];

/// A group of cases: its letters, its heading, and what is to be said before its table.
struct Group {
    letters: &'static str,
    title: &'static str,
    introduction: &'static str,
}

const GROUPS: [Group; 20] = [
    Group {
        letters: "RC",
        title: "What real clients send",
        introduction: "Whole requests as these clients send them, each of which must be served.\n\
            Every field of them reaches the application; the case names each with its value.",
    },
    Group {
        letters: "RL",
        title: "The request line",
        introduction: "Method, one blank, target, one blank, version.\n\
            Another blank more or less, and two programs may disagree where the target ends; so there is no leniency.\n\
            The target is a path, an absolute URI with http, or `*` with OPTIONS.\n\
            What browsers send although it is no URI is handed on unchanged.",
    },
    Group {
        letters: "VR",
        title: "The version",
        introduction: "`HTTP/` and two digits, in capitals.\n\
            Higher minor versions are processed as 1.1, other major ones are a 505.",
    },
    Group {
        letters: "WS",
        title: "Line ends and blanks",
        introduction: "A line ends with CR LF and with nothing else.\n\
            An RFC lets a server take a bare LF for it; a proxy that does not would see another request.",
    },
    Group {
        letters: "HF",
        title: "Fields",
        introduction: "A name is a token, right before its colon; a value holds no control bytes but the tab.\n\
            The same name again makes a list.\n\
            A name that could pass for another one's key is not handed on.",
    },
    Group {
        letters: "HO",
        title: "Host",
        introduction: "A request of HTTP/1.1 has exactly one, and it is a host with an optional port: links, redirects and caches are made of it.",
    },
    Group {
        letters: "CL",
        title: "Content-Length",
        introduction: "Decimal digits, once.\n\
            Whatever two programs could read as two lengths is refused.",
    },
    Group {
        letters: "TE",
        title: "Transfer-Encoding",
        introduction: "Chunked, and nothing but chunked, in HTTP/1.1.\n\
            Anything that is nearly chunked is refused, because somebody in front may take it for chunked.",
    },
    Group {
        letters: "CH",
        title: "Chunks",
        introduction: "Your application reads the decoded body; `CONTENT_LENGTH` is its length where it is buffered.\n\
            Extensions are checked, counted and dropped.",
    },
    Group {
        letters: "TR",
        title: "Trailers",
        introduction: "Checked, limited and dropped: WSGI has no place for them, and a field that comes after the decision it belongs to must not change it.",
    },
    Group {
        letters: "SM",
        title: "Request smuggling",
        introduction: "A request hidden in another one, so that the server sees two where a proxy saw one.\n\
            None of the hidden requests reaches the application.",
    },
    Group {
        letters: "EX",
        title: "Expect",
        introduction: "The 100 comes when the server begins to read the body, or with `--stream-request-body` when the application does; a request that is refused gets none.",
    },
    Group {
        letters: "RS",
        title: "Responses",
        introduction: "Whatever the application does, the client can tell where its response ends, and whether it is whole.",
    },
    Group {
        letters: "KA",
        title: "Keep-alive",
        introduction: "HTTP/1.1 is kept unless somebody says `close`, HTTP/1.0 only if the client asks for it.",
    },
    Group {
        letters: "PL",
        title: "Pipelining",
        introduction: "Requests that are sent before their turn are answered one after another, in order.",
    },
    Group {
        letters: "UP",
        title: "Upgrades and other protocols",
        introduction: "No upgrade is taken: the request is answered over HTTP/1.1, as an RFC allows in every case.\n\
            Other protocols are told so at once, not after a timeout.",
    },
    Group {
        letters: "LM",
        title: "Limits",
        introduction: "Each has a setting, named in [settings](../reference/settings.md), and a status of its own.",
    },
    Group {
        letters: "TM",
        title: "Time",
        introduction: "A client may be slow; it may not hold a thread, and it may not take for ever.",
    },
    Group {
        letters: "PE",
        title: "Percent-encoding",
        introduction: "`PATH_INFO` is decoded once, as PEP 3333 wants it; `REQUEST_URI`, `RAW_URI` and `QUERY_STRING` are as sent.\n\
            Everything that has a meaning on a disk is the application's to judge, except the NUL.",
    },
    Group {
        letters: "FI",
        title: "Static files",
        introduction: "Conditions, ranges and codings are the application's business where an application answers; here Kirsch keeps their rules itself.\n\
            The file has 100 bytes and was changed on Sun, 09 Sep 2001 01:46:40 GMT; `%%etag%%` stands for its entity tag.",
    },
];

/// The whole page.
pub fn page() -> String {
    let cases = load_cases();
    let known = |case: &Case| GROUPS.iter().any(|group| group.letters == case.group);
    if let Some(case) = cases.iter().find(|case| !known(case)) {
        panic!("no heading for the group of {}", case.id);
    }
    let mut page = format!("{INTRODUCTION}\n{}\n{LEGEND}", counts(&cases));
    for group in &GROUPS {
        // Writing to a string does not fail.
        let _ = write!(page, "\n## {}\n\n{}\n\n", group.title, group.introduction);
        page.push_str("| Case | What comes | What happens | Rule |\n|---|---|---|---|\n");
        for case in cases.iter().filter(|case| case.group == group.letters) {
            let _ = writeln!(page, "{}", row(case));
        }
    }
    page.push_str(REQUIREMENTS);
    for requirement in requirements() {
        let _ = writeln!(page, "{}", requirement.row());
    }
    page
}

const REQUIREMENTS: &str = "
## By section of the RFCs

What RFC 9110 and 9112 ask of a server that can be seen on a socket, and some cases that show it.

| Section | Verb | What is asked | Cases |
|---|---|---|---|
";

/// A line of `conformance/rfc.json`: something that an RFC asks of a server.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    section: String,
    verb: String,
    requirement: String,
    #[serde(default)]
    cases: Vec<String>,
    /// Why there is no case.
    #[serde(default)]
    reason: String,
}

impl Requirement {
    fn row(&self) -> String {
        let shown = match self.cases.as_slice() {
            [] => prose(&self.reason),
            cases => cases.join(", "),
        };
        format!(
            "| {} | {} | {} | {shown} |",
            self.section,
            self.verb,
            prose(&self.requirement)
        )
    }
}

/// Reads the requirements, in the order of the sections.
fn requirements() -> Vec<Requirement> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/rfc.json");
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

fn counts(cases: &[Case]) -> String {
    let refused = cases.iter().filter(|case| case.is_refused()).count();
    let count = |does: Does| cases.iter().filter(|case| case.does == does).count();
    let (repaired, ignored) = (count(Does::Repaired), count(Does::Ignored));
    format!(
        "Of {} cases {} must be served, {repaired} of them put in order and {ignored} with something that has no effect; \
        {refused} must be refused.\n",
        cases.len(),
        cases.len() - refused,
    )
}

fn row(case: &Case) -> String {
    let sample = sample(case).map_or_else(String::new, |sample| format!(": {sample}"));
    format!(
        "| {} | {}{sample} | {} | {} |",
        case.id,
        prose(&case.description),
        outcome(case),
        rule(case)
    )
}

/// The lines of the request that are not in every request, if they are few.
fn sample(case: &Case) -> Option<String> {
    if case.group == "RC" || !case.placeholders().is_empty() {
        return None;
    }
    let lines: Vec<String> = case
        .written()
        .split("\r\n")
        .filter(|line| !USUAL_LINES.contains(line))
        .map(code)
        .collect();
    let shown = lines.join(" ");
    (!lines.is_empty() && shown.len() <= LONGEST_SAMPLE).then_some(shown)
}

/// What happens, in words.
fn outcome(case: &Case) -> String {
    let expect = &case.expect;
    if expect.status == 0 {
        return "closed without an answer".to_owned();
    }
    if case.is_refused() {
        return format!("**{}**", expect.status);
    }
    let mut words = match (case.does, expect.status) {
        (Does::Plain, 200) => "served".to_owned(),
        (Does::Plain, status) => format!("{status}"),
        (Does::Repaired, _) => "put in order".to_owned(),
        (Does::Ignored, _) => "without effect".to_owned(),
    };
    if expect
        .interim
        .as_ref()
        .is_some_and(|interim| !interim.is_empty())
    {
        words.push_str(", a 100 first");
    }
    if expect.responses > 1 {
        let _ = write!(words, ", {} answers", expect.responses);
    }
    if expect.connection == Connection::Close {
        words.push_str(", then closed");
    }
    if case.group == "RC" {
        return words;
    }
    for (key, value) in expect.app_env.iter().take(MOST_KEYS) {
        match value {
            AnyOf::One(value) if value.len() <= LONGEST_SAMPLE => {
                let _ = write!(words, "; `{key}` is {}", quoted(value));
            }
            AnyOf::Several(values) => {
                let _ = write!(words, "; `{key}` is {}", quoted(&values[0]));
            }
            AnyOf::One(_) => {}
            AnyOf::Absent(()) => {
                let _ = write!(words, "; no `{key}`");
            }
        }
    }
    words
}

/// The rule's number and verb, and the reason where one is written.
fn rule(case: &Case) -> String {
    let place = match case.rfc.as_str() {
        "-" => None,
        rfc if rfc.starts_with(|first: char| first.is_ascii_digit()) => Some(format!("RFC {rfc}")),
        other => Some(other.to_owned()),
    };
    let verb = match case.level.as_str() {
        "MAY" => "*open*",
        "SEC" => "*hardening*",
        verb => verb,
    };
    let mut text = match place {
        Some(place) => format!("{place}, {verb}"),
        None => verb.to_owned(),
    };
    if !case.note.is_empty() {
        let _ = write!(text, ". {}", prose(&case.note));
    }
    text
}

fn quoted(value: &str) -> String {
    match value {
        "" => "empty".to_owned(),
        value => code(value),
    }
}

/// Bytes as code, in one line, so that a table can hold them. Markdown would take blanks at the ends away.
fn code(text: &str) -> String {
    let mut shown = String::from("`");
    let inner = text.trim_matches(' ');
    let (front, back) = (
        text.len() - text.trim_start_matches(' ').len(),
        text.len() - text.trim_end_matches(' ').len(),
    );
    shown.push_str(&"\\x20".repeat(front));
    for char in inner.chars() {
        match char {
            '\r' => shown.push_str("\\r"),
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '|' => shown.push_str("\\|"),
            '`' => shown.push_str("\\x60"),
            ' '..='~' => shown.push(char),
            other => {
                let _ = write!(shown, "\\x{:02x}", u32::from(other));
            }
        }
    }
    if !inner.is_empty() {
        shown.push_str(&"\\x20".repeat(back));
    }
    shown.push('`');
    shown
}

/// Text in which nothing is taken for Markdown.
fn prose(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        if "*_<>[]`|\\".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_line() {
        let page = page();
        for case in load_cases() {
            assert_eq!(
                page.matches(&format!("\n| {} | ", case.id)).count(),
                1,
                "{}",
                case.id
            );
        }
    }

    #[test]
    fn every_requirement_names_cases_that_are_there_or_says_why_not() {
        let cases: Vec<String> = load_cases().into_iter().map(|case| case.id).collect();
        for requirement in requirements() {
            let what = &requirement.requirement;
            assert_eq!(
                requirement.cases.is_empty(),
                !requirement.reason.is_empty(),
                "{what}"
            );
            for id in &requirement.cases {
                assert!(cases.contains(id), "{id}: {what}");
            }
        }
    }

    #[test]
    fn code_stays_in_one_cell() {
        assert_eq!(code("a|b`\r\n\0\u{e9}"), "`a\\|b\\x60\\r\\n\\x00\\xe9`");
        assert_eq!(code(" a b "), "`\\x20a b\\x20`");
        assert_eq!(code(" "), "`\\x20`");
    }
}
