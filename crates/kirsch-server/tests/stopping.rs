//! How a server stops: what has begun is finished, nothing new begins, and time runs out.

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use kirsch_server::Exchange;
use support::{Bodies, Gate, PATIENCE, TestServer, echo, get, ok, pattern, post};

/// Stops the server while `during` goes on; answers whether all was finished.
fn stop_while(server: &TestServer, patience: Duration, during: impl FnOnce()) -> bool {
    thread::scope(|scope| {
        let stopped = scope.spawn(|| server.server.stop_within(patience));
        during();
        stopped.join().expect("no panic")
    })
}

#[test]
fn idle_connections_close_at_once_and_nobody_is_accepted() {
    let server = TestServer::start(|_| {}, Bodies::Buffered, echo);
    let mut used = server.connect();
    assert_eq!(used.get("/").status, 200);
    let mut fresh = server.connect();
    server.until("accepted", |now| now.accepted == 2);
    assert!(server.server.stop_within(PATIENCE));
    used.assert_closed();
    fresh.assert_closed();
    assert!(std::net::TcpStream::connect(server.address()).is_err());
}

#[test]
fn what_has_begun_is_finished() {
    for bodies in [Bodies::Buffered, Bodies::Streamed] {
        for timeout in [None, Some(PATIENCE)] {
            let gate = Gate::default();
            let door = gate.clone();
            let server = TestServer::start(
                |config| config.timeouts.request = timeout,
                bodies,
                move |mut exchange: Exchange| {
                    match exchange.request().target() {
                        b"/app" => door.pass(),
                        b"/large" => {
                            exchange.begin(ok(), None);
                            assert_eq!(exchange.put(&pattern(9_000_000)), Ok(()));
                            exchange.finish();
                            return;
                        }
                        _ => {}
                    }
                    echo(exchange);
                },
            );
            let mut head = server.connect();
            head.send("GET /head HTTP/1.1\r\nHo");
            let mut body = server.connect();
            body.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbo");
            let mut app = server.connect();
            app.send(post("/app", b"")).send(get("/behind"));
            let mut large = server.connect();
            large.send(get("/large"));
            gate.await_arrivals(1);
            server.until("all there", |now| now.requests >= 3 && now.accepted == 4);
            let finished = stop_while(&server, PATIENCE, || {
                // It does not listen any more: the drain has begun.
                while std::net::TcpStream::connect(server.address()).is_ok() {}
                let response = head.send("st: t\r\n\r\n").response();
                assert_eq!((response.text(), response.closes()), ("/head", true));
                let response = body.send("dy").response();
                assert_eq!((response.text(), response.closes()), ("/body", true));
                gate.open();
                let response = app.response();
                assert_eq!((response.text(), response.closes()), ("/app", true));
                assert!(large.response().body == pattern(9_000_000));
                for client in [&mut head, &mut body, &mut app, &mut large] {
                    client.assert_closed();
                }
                drop((head, body, app, large));
            });
            assert!(finished, "{bodies:?} {timeout:?}");
        }
    }
}

#[test]
fn a_client_that_has_its_answer_and_stays_is_waited_for_but_shortly() {
    let server = TestServer::start(|_| {}, Bodies::Buffered, echo);
    let mut before = server.connect();
    assert_eq!(before.send("BAD\r\n\r\n").response().status, 400);
    let mut during = server.connect();
    during.send("GET /during HTTP/1.1\r\nHo");
    server.until("accepted", |now| now.accepted == 2);
    let begin = Instant::now();
    let finished = stop_while(&server, PATIENCE, || {
        while std::net::TcpStream::connect(server.address()).is_ok() {}
        let response = during.send("st: t\r\n\r\n").response();
        assert_eq!((response.text(), response.closes()), ("/during", true));
    });
    assert!(finished);
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    for client in [&mut before, &mut during] {
        client.assert_closed();
    }
}

#[test]
fn when_time_runs_out_everything_ends() {
    let gate = Gate::default();
    let door = gate.clone();
    let (ended, application) = mpsc::channel();
    let server = TestServer::start(
        |_| {},
        Bodies::Streamed,
        move |mut exchange: Exchange| {
            if exchange.request().target() == b"/app" {
                door.pass();
            } else {
                let read = exchange.request_mut().take_body().read(&mut [0; 10]);
                ended.send(read.is_err()).expect("the test waits");
            }
            exchange.respond(ok(), b"late");
        },
    );
    let mut app = server.connect();
    app.send(get("/app"));
    gate.await_arrivals(1);
    let mut head = server.connect();
    head.send("GET /head HTTP/1.1\r\nHo");
    let mut body = server.connect();
    body.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n");
    server.until("all there", |now| now.accepted == 3 && now.requests == 2);
    assert!(!server.server.stop_within(Duration::from_millis(100)));
    assert!(
        application
            .recv_timeout(PATIENCE)
            .expect("the application goes on")
    );
    gate.open();
    server.server.join();
    for client in [&mut head, &mut body, &mut app] {
        client.rest_or_reset();
    }
}

#[test]
fn a_drain_that_is_under_way_can_be_cut_short() {
    let gate = Gate::default();
    let door = gate.clone();
    let server = TestServer::start(
        |_| {},
        Bodies::Buffered,
        move |exchange| {
            door.pass();
            echo(exchange);
        },
    );
    let mut client = server.connect();
    client.send(get("/"));
    gate.await_arrivals(1);
    let finished = stop_while(&server, Duration::from_secs(3600), || {
        while std::net::TcpStream::connect(server.address()).is_ok() {}
        server.server.stop_now();
    });
    assert!(!finished);
    gate.open();
}
