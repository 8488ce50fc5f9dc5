//! What the access log says of a request, whoever answered it and however it ended.

mod support;

use std::fs;
use std::time::Duration;

use kirsch_server::{AccessLog, AccessLogFormat, Config, Exchange};
use support::{Bodies, Gate, TestServer, echo, get, ok, pattern, post};

const SHORT: Duration = Duration::from_millis(150);

/// Serves while `during` goes on; answers the lines that were logged: path, status, bytes of content, and
/// whether the connection was kept (`+`), closed (`-`) or the response aborted (`X`).
fn logged(
    change: impl FnOnce(&mut Config),
    bodies: Bodies,
    handle: impl Fn(Exchange) + Send + Sync + 'static,
    during: impl FnOnce(&TestServer),
) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let server = TestServer::start(
        |config| {
            config.access_log = Some(AccessLog {
                format: AccessLogFormat::Custom("%U %s %B %X".to_owned()),
                file: Some(path.clone()),
            });
            change(config);
        },
        bodies,
        handle,
    );
    during(&server);
    server.server.stop();
    drop(server);
    let log = fs::read_to_string(path).expect("a log");
    log.lines().map(str::to_owned).collect()
}

#[test]
fn a_whole_response_is_logged_with_what_became_of_its_connection() {
    let lines = logged(
        |_| {},
        Bodies::Buffered,
        echo,
        |server| {
            let mut client = server.connect();
            assert_eq!(client.get("/kept").status, 200);
            client.send("GET /closed HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
            assert_eq!(client.response().status, 200);
            client.assert_closed();
        },
    );
    assert_eq!(lines, ["/kept 200 5 +", "/closed 200 7 -"]);
}

#[test]
fn a_refused_request_is_logged_as_far_as_it_is_known() {
    let lines = logged(
        |config| config.limits.body_bytes = 10,
        Bodies::Buffered,
        echo,
        |server| {
            let mut client = server.connect();
            assert_eq!(client.send("BAD\r\n\r\n").response().status, 400);
            client.assert_closed();
            let mut client = server.connect();
            let response = client.send(post("/large", &pattern(11))).response();
            assert_eq!(response.status, 413);
            client.assert_closed();
        },
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("- 400 ") && lines[0].ends_with(" -"));
    assert!(lines[1].starts_with("/large 413 ") && lines[1].ends_with(" -"));
}

#[test]
fn a_request_that_was_answered_for_with_504_is_logged_once() {
    for bodies in [Bodies::Buffered, Bodies::Streamed] {
        let gate = Gate::default();
        let door = gate.clone();
        let lines = logged(
            |config| config.timeouts.request = Some(SHORT),
            bodies,
            move |exchange| {
                door.pass();
                echo(exchange);
            },
            |server| {
                let mut client = server.connect();
                assert_eq!(client.send(post("/slow", b"body")).response().status, 504);
                client.assert_closed();
                gate.open();
            },
        );
        assert_eq!(lines.len(), 1, "{bodies:?}: {lines:?}");
        assert!(lines[0].starts_with("/slow 504 ") && lines[0].ends_with(" -"));
    }
}

#[test]
fn a_request_that_nobody_ran_is_logged_with_the_answer_it_got() {
    let gate = Gate::default();
    let door = gate.clone();
    let mut lines = logged(
        |config| {
            config.threads = 1;
            config.timeouts.request = Some(SHORT);
            config.timeouts.queue = SHORT * 3;
        },
        Bodies::Buffered,
        move |exchange| {
            door.pass();
            echo(exchange);
        },
        |server| {
            let mut running = server.connect();
            running.send(get("/running"));
            gate.await_arrivals(1);
            let mut queued = server.connect();
            assert_eq!(queued.get("/queued").status, 504);
            // It hears nothing more when the queue's timeout has passed, too.
            server.until("refused", |now| now.pool.refused == 1);
            queued.assert_closed();
            gate.open();
        },
    );
    lines.sort();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("/queued 504 ") && lines[0].ends_with(" -"));
    assert!(lines[1].starts_with("/running 504 ") && lines[1].ends_with(" -"));
}

#[test]
fn a_response_that_its_client_did_not_take_is_logged_as_aborted() {
    let lines = logged(
        |_| {},
        Bodies::Buffered,
        |mut exchange: Exchange| {
            exchange.begin(ok(), None);
            // The response buffer takes all of it, though the kernel does not.
            assert_eq!(exchange.put(&pattern(12_000_000)), Ok(()));
            exchange.finish();
        },
        |server| {
            let mut client = server.connect();
            client.send(get("/unread"));
            server.until("outran", |now| now.outran == 1 && now.spool_bytes > 0);
            client.reset();
            server.until("gone", |now| now.connections == 0);
        },
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("/unread 200 ") && lines[0].ends_with(" X"));
}
