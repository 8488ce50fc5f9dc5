//! `docs/reference/compared.md`: what Kirsch and others answer to the same probes.
//!
//! The table is `conformance/compared.json`; `tests/test_compared.py` sees to it that Kirsch's column is true.

use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;

const INTRODUCTION: &str = "\
# Compared

What servers for WSGI answer to the same probes, each sent once to the server as it comes.
Kirsch's column is filled in by `tests/test_compared.py`, which asks again at every run of the tests.
The other columns were measured once, with the versions that stand above them, on one machine: read the current ones' documents before you decide.
None of the rows waits for something that Kirsch does not have yet; TLS, HTTP/2 and worker processes are not compared.

This page is written by `cargo run -p xtask -- docs` from `conformance/compared.json`.

| Probe | Right | Kirsch | Granian 2.8.7 | gunicorn 27 (gthread) | waitress 3.0.2 | cheroot 11.1.2 | uWSGI 2.0.30 (http-socket) |
|---|---|---|---|---|---|---|---|
";

/// A line of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[expect(dead_code, reason = "it names the probe for the tests")]
    id: String,
    probe: String,
    right: String,
    kirsch: String,
    others: [String; 5],
}

/// The whole page.
pub fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/compared.json");
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    let rows: Vec<Row> =
        serde_json::from_str(&text).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    let mut page = INTRODUCTION.to_owned();
    for row in &rows {
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| {} | {} | **{}** | {} |",
            row.probe,
            row.right,
            row.kirsch,
            row.others.join(" | ")
        );
    }
    page
}
