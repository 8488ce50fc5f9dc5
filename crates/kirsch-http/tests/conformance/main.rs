//! Runs `conformance/http1.json` without sockets: whole, cut in two at every offset, and byte by
//! byte. The verdict must be the expected one, and the same however the bytes arrive.

mod connection;
mod probe;

mod properties;

use kirsch_http::Limits;
use kirsch_testing::{Case, Connection as Fate, WireResponse, cuts, load_cases, read_responses};

use connection::Connection;
use probe::Record;

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn every_case_has_the_expected_verdict() {
    let failures: Vec<String> = cases().iter().flat_map(judge).collect();
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn the_verdict_is_the_same_wherever_the_bytes_are_cut_in_two() {
    for case in cases() {
        let bytes = case.pieces().concat();
        let whole = verdict(&case, [&bytes[..]]);
        for cut in cuts(&bytes) {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(
                verdict(&case, [left, right]),
                whole,
                "{} cut at {cut}",
                case.id
            );
        }
    }
}

#[test]
fn the_verdict_is_the_same_byte_by_byte() {
    for case in cases() {
        let bytes = case.pieces().concat();
        let whole = verdict(&case, [&bytes[..]]);
        assert_eq!(verdict(&case, bytes.chunks(1)), whole, "{}", case.id);
    }
}

#[test]
fn the_verdict_is_the_same_behind_a_good_request() {
    for case in cases() {
        let bytes = case.pieces().concat();
        let alone = verdict(&case, [&bytes[..]]);
        let mut behind = verdict(&case, [NEXT, &bytes[..]]);
        assert_eq!(behind.responses.remove(0).status, 200, "{}", case.id);
        assert_eq!(behind.log.remove(0).path, "/next", "{}", case.id);
        assert_eq!(behind, alone, "{}", case.id);
    }
}

#[test]
fn what_is_refused_in_1_1_is_refused_in_1_0() {
    let mut tried = 0;
    for case in cases().iter().filter(|case| case.is_refused()) {
        let text = case.request();
        let end = memchr::memmem::find(&text, b"\r\n\r\n").unwrap_or(text.len());
        let holds = |part: &[u8]| memchr::memmem::find(&text[..end], part).is_some();
        // These two are the differences: a Host may be missing, and expectations are ignored.
        if !holds(b"\r\nHost:") || holds(b"\r\nExpect:") {
            continue;
        }
        let Some(at) = memchr::memmem::find(&text, b" HTTP/1.1\r\n") else {
            continue;
        };
        let mut older = text.clone();
        older[at + b" HTTP/1.".len()] = b'0';
        let verdict = verdict(case, [&older[..]]);
        let status = verdict.responses.first().map(|response| response.status);
        assert!(status >= Some(400), "{}: {status:?}", case.id);
        assert!(verdict.closed && verdict.log.is_empty(), "{}", case.id);
        tried += 1;
    }
    assert!(tried > 200, "{tried} cases have a version to lower");
}

/// The cases that need neither time nor a socket nor a server's settings.
fn cases() -> Vec<Case> {
    let cases: Vec<Case> = load_cases()
        .into_iter()
        .filter(|case| case.needs.is_empty())
        .collect();
    assert!(cases.len() > 400, "the cases are there");
    cases
}

/// All that must not depend on how the bytes arrive. (Whether a 100 is sent may.)
#[derive(PartialEq, Debug)]
struct Verdict {
    responses: Vec<WireResponse>,
    log: Vec<Record>,
    closed: bool,
}

fn verdict<'a>(case: &Case, pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut connection = open(case);
    for piece in pieces {
        connection.receive(piece);
    }
    if case.half_close {
        connection.end_of_stream();
    }
    let mut responses = responses_of(&connection);
    responses.retain(|response| response.status >= 200);
    Verdict {
        responses,
        closed: connection.is_closed(),
        log: connection.into_log(),
    }
}

fn open(case: &Case) -> Connection {
    let mut limits = Limits::default();
    limits.body_bytes = case.config.body_bytes.unwrap_or(limits.body_bytes);
    Connection::new(limits)
}

fn responses_of(connection: &Connection) -> Vec<WireResponse> {
    read_responses(connection.sent(), |idx| connection.was_head(idx))
}

/// What is wrong with a case that arrives as it was written.
fn judge(case: &Case) -> Vec<String> {
    let expect = &case.expect;
    let mut connection = open(case);
    for piece in case.pieces() {
        connection.receive(&piece);
    }
    if case.half_close {
        connection.end_of_stream();
    }
    let responses = responses_of(&connection);
    let (interim, finals): (Vec<_>, Vec<_>) =
        responses.iter().partition(|response| response.status < 200);
    let interim: Vec<u16> = interim.iter().map(|response| response.status).collect();
    let status = finals.first().map_or(0, |response| response.status);
    let closed = connection.is_closed();
    let log = connection.log();
    let reached = |path: &String| log.iter().any(|record| record.path == *path);

    let mut wrong = Vec::new();
    let mut check = |good: bool, text: String| {
        if !good {
            wrong.push(format!("{} ({}): {text}", case.id, case.description));
        }
    };
    check(
        status == expect.status,
        format!("status {status}, not {}", expect.status),
    );
    check(
        closed == (expect.connection == Fate::Close),
        format!("closed: {closed}"),
    );
    check(
        finals.len() == expect.responses,
        format!("{} responses, not {}", finals.len(), expect.responses),
    );
    check(
        expect.must_reach.iter().all(reached),
        format!("reached only {log:?}"),
    );
    check(
        !expect.must_not_reach.iter().any(reached),
        format!("reached {log:?}"),
    );
    if let Some(expected) = &expect.interim {
        check(
            interim == *expected,
            format!("interim {interim:?}, not {expected:?}"),
        );
    }
    check(
        log.is_empty() == (status == 0 || refused(&responses)),
        format!("application called: {log:?}"),
    );
    if let Some(record) = log.first() {
        for (key, expected) in &expect.app_env {
            let value = record.environ.get(key).map(String::as_str);
            check(
                expected.allows(value),
                format!("environ {key} is {value:?}, not {expected:?}"),
            );
        }
        if let Some(body) = &expect.app_body {
            check(
                record.body == *body,
                format!("body {:?}, not {body:?}", record.body),
            );
        }
    }
    if expect.body_reaches_app == Some(false) {
        check(
            log.iter().all(|record| record.body.is_empty()),
            format!("body reached the application: {log:?}"),
        );
    }
    for wire in &expect.wire {
        check(
            wire.holds(connection.sent()),
            format!("{wire:?}: {}", connection.sent().escape_ascii()),
        );
    }
    for response in finals {
        check(
            response.fields("Date").count() == 1,
            format!("not one Date: {}", response.head),
        );
    }
    if refused(&responses) {
        let answer = &responses[responses.len() - 1];
        let text = format!("{} ", answer.status);
        let is_ours = connection.was_head(0) || answer.body.starts_with(text.as_bytes());
        check(
            is_ours && answer.complete,
            format!("not our text: {answer:?}"),
        );
    }
    if closed && status != 0 && !case.half_close {
        let last = responses.last().expect("there is one");
        check(
            last.says_close() || !last.complete,
            format!("closes without saying so: {}", last.head),
        );
    }
    if !closed {
        connection.receive(NEXT);
        let served = connection
            .log()
            .last()
            .is_some_and(|record| record.path == "/next");
        check(
            served && !connection.is_closed(),
            "the next request is not served".to_owned(),
        );
    }
    wrong
}

/// Whether the server answered the first request itself.
fn refused(responses: &[WireResponse]) -> bool {
    responses
        .iter()
        .find(|response| response.status >= 200)
        .is_some_and(|response| {
            response.status >= 400 && response.status != 500 && response.says_close()
        })
}
