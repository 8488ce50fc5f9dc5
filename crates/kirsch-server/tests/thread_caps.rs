//! Applications that may have only some of the threads, seen from outside. The line they wait in is tried in
//! `src/thread_cap.rs`.

mod support;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use kirsch_server::{
    Action, Application, Condition, Config, Doing, Exchange, Route, Router, RouterOptions, Serve,
};

use support::{Bodies, Client, Gate, TestServer, echo, gateway, get, ok, pattern, post};

/// A server whose `/capped` has so many threads, and whose other paths have all.
fn serve(
    change: impl FnOnce(&mut Config),
    threads: usize,
    bodies: Bodies,
    capped: impl Fn(Exchange) + Send + Sync + 'static,
) -> TestServer {
    let cap = NonZeroUsize::new(threads).expect("a thread");
    let capped = Application::with_threads(gateway(bodies, capped), cap);
    let other = Application::new(gateway(Bodies::Buffered, echo));
    let under = |path: &str, application| {
        let when = Condition {
            paths: vec![path.parse().expect("a path")],
            ..Condition::default()
        };
        Route::new(when, Action::Serve(Serve::new(application)))
    };
    let routes = vec![
        under("/capped", Arc::clone(&capped)),
        under("/alike", capped),
        under("/", other),
    ];
    let router = Router::new(routes, RouterOptions::default()).expect("good routes");
    TestServer::serve(change, Arc::new(router))
}

/// A server whose capped application waits at a gate.
fn gated(change: impl FnOnce(&mut Config), threads: usize) -> (TestServer, Gate) {
    let gate = Gate::default();
    let at = gate.clone();
    let server = serve(change, threads, Bodies::Buffered, move |exchange| {
        at.pass();
        echo(exchange);
    });
    (server, gate)
}

/// So many clients, each of which has asked for the capped application.
fn ask(server: &TestServer, count: usize) -> Vec<Client> {
    let asked = |idx| {
        let mut client = server.connect();
        client.send(get(&format!("/capped/{idx}")));
        client
    };
    (0..count).map(asked).collect()
}

#[test]
fn no_more_threads_than_allowed_are_in_the_application_and_every_request_is_answered() {
    const CLIENTS: usize = 12;
    const ROUNDS: usize = 200;
    for (threads, reactors, cap) in [(8, 1, 3), (8, 2, 3), (2, 1, 1), (1, 1, 1), (4, 1, 9)] {
        let inside = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let (now, seen) = (Arc::clone(&inside), Arc::clone(&most));
        let change = move |config: &mut Config| {
            config.threads = threads;
            config.reactors = reactors;
        };
        let server = serve(change, cap, Bodies::Buffered, move |exchange| {
            let count = now.fetch_add(1, Ordering::SeqCst) + 1;
            seen.fetch_max(count, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            echo(exchange);
        });
        let start = Barrier::new(CLIENTS);
        thread::scope(|scope| {
            for idx in 0..CLIENTS {
                let (server, start) = (&server, &start);
                scope.spawn(move || {
                    let mut client = server.connect();
                    start.wait();
                    for round in 0..ROUNDS {
                        // Two routes lead to it, and a third elsewhere.
                        let path = ["/capped", "/alike", "/free"][round % 3];
                        let path = format!("{path}/{idx}/{round}");
                        assert_eq!(client.get(&path).text(), path);
                    }
                });
            }
        });
        let most = most.load(Ordering::SeqCst);
        assert!(most <= cap, "{most} of {cap} threads");
        server.until("nobody waits", |now| now.queued == 0);
    }
}

#[test]
fn a_stuck_application_starves_no_other() {
    for reactors in [1, 2] {
        let change = |config: &mut Config| {
            config.threads = 4;
            config.reactors = reactors;
        };
        let (server, gate) = gated(change, 1);
        let mut stuck = ask(&server, 20);
        gate.await_arrivals(1);
        server.until("the others wait", |now| now.queued == 19);
        let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
        for round in 0..100 {
            let path = format!("/free/{round}");
            assert_eq!(clients[round % 4].get(&path).text(), path);
        }
        assert_eq!(server.server.statistics().queued, 19);
        gate.open();
        for (idx, client) in stuck.iter_mut().enumerate() {
            assert_eq!(client.response().text(), format!("/capped/{idx}"));
        }
        server.until("nobody waits", |now| now.queued == 0);
    }
}

#[test]
fn those_in_line_are_served_in_their_order() {
    const CLIENTS: usize = 10;
    let order = Arc::new(Mutex::new(Vec::new()));
    let gate = Gate::default();
    let (at, seen) = (gate.clone(), Arc::clone(&order));
    let server = serve(
        |_| (),
        1,
        Bodies::Buffered,
        move |exchange| {
            at.pass();
            let path = String::from_utf8_lossy(exchange.request().path()).into_owned();
            seen.lock().expect("no panic").push(path);
            echo(exchange);
        },
    );
    let paths: Vec<String> = (0..CLIENTS).map(|idx| format!("/capped/{idx}")).collect();
    let mut clients = Vec::new();
    for (idx, path) in paths.iter().enumerate() {
        let mut client = server.connect();
        client.send(get(path));
        clients.push(client);
        // It is in line before the next one asks.
        server.until("it waits", |now| {
            now.requests == idx as u64 + 1 && now.queued == idx
        });
    }
    gate.open();
    for (client, path) in clients.iter_mut().zip(&paths) {
        assert_eq!(client.response().text(), path);
    }
    assert_eq!(*order.lock().expect("no panic"), paths);
}

#[test]
fn beyond_the_line_there_is_a_503_and_the_connection_stays() {
    let (server, gate) = gated(|config| config.limits.queue_jobs = 3, 1);
    let mut first = ask(&server, 4);
    server.until("three wait", |now| now.queued == 3);
    let mut late = server.connect();
    for _ in 0..2 {
        let response = late.get("/capped");
        assert_eq!((response.status, response.closes()), (503, false));
        assert_eq!(response.field("retry-after"), Some("5"));
    }
    assert_eq!(late.get("/free").text(), "/free");
    assert_eq!(server.server.statistics().pool.refused, 2);
    gate.open();
    for client in &mut first {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(late.get("/capped").text(), "/capped");
}

#[test]
fn who_waits_too_long_gets_a_503_and_leaves_no_gap() {
    for reactors in [1, 2] {
        let change = |config: &mut Config| {
            config.reactors = reactors;
            config.timeouts.queue = Duration::from_millis(400);
        };
        let (server, gate) = gated(change, 2);
        let mut clients = ask(&server, 2);
        gate.await_arrivals(2);
        let mut late = ask(&server, 6);
        for client in &mut late {
            let response = client.response();
            assert_eq!((response.status, response.closes()), (503, false));
        }
        server.until("nobody waits", |now| now.queued == 0);
        assert_eq!(server.server.statistics().pool.refused, 6);
        gate.open();
        for client in clients.iter_mut() {
            assert_eq!(client.response().status, 200);
        }
        for client in late.iter_mut().chain(&mut clients) {
            assert_eq!(client.get("/capped/again").text(), "/capped/again");
        }
    }
}

#[test]
fn a_panic_gives_the_thread_back() {
    let server = serve(
        |_| (),
        1,
        Bodies::Buffered,
        |exchange| {
            assert!(exchange.request().path() != b"/capped/panic", "on purpose");
            echo(exchange);
        },
    );
    let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for _ in 0..5 {
        for client in &mut clients {
            client.send(get("/capped/panic"));
        }
        for client in &mut clients {
            assert_eq!(client.response().status, 500);
        }
    }
    assert_eq!(clients[0].get("/capped/fine").text(), "/capped/fine");
}

#[test]
fn a_client_that_leaves_while_it_waits_holds_up_nobody() {
    let (server, gate) = gated(|_| (), 1);
    let mut first = ask(&server, 1);
    gate.await_arrivals(1);
    let mut leavers = ask(&server, 3);
    server.until("they wait", |now| now.queued == 3);
    let mut last = ask(&server, 1);
    server.until("it waits", |now| now.queued == 4);
    leavers.drain(..1).for_each(Client::reset);
    drop(leavers);
    gate.open();
    assert_eq!(first[0].response().text(), "/capped/0");
    assert_eq!(last[0].response().text(), "/capped/0");
    server.until("only two are left", |now| {
        now.connections == 2 && now.queued == 0
    });
}

#[test]
fn a_request_whose_time_is_over_while_it_waits_costs_no_thread() {
    let change = |config: &mut Config| {
        config.timeouts.request = Some(Duration::from_millis(400));
    };
    let (gate, calls) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (at, called) = (gate.clone(), Arc::clone(&calls));
    let server = serve(change, 1, Bodies::Streamed, move |exchange| {
        called.fetch_add(1, Ordering::SeqCst);
        if exchange.request().path() != b"/capped/again" {
            at.pass();
        }
        echo(exchange);
    });
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(post("/capped", b"hello"));
    }
    gate.await_arrivals(1);
    for client in &mut clients {
        assert_eq!(client.response().status, 504);
    }
    gate.open();
    server.until("nobody waits", |now| now.queued == 0);
    let answer = server
        .connect()
        .send(post("/capped/again", b"!"))
        .response();
    assert_eq!(answer.text(), "/capped/again!");
    assert_eq!(calls.load(Ordering::SeqCst), 2, "two were never begun");
}

#[test]
fn when_all_its_threads_wait_for_clients_the_slowest_is_given_up_for_a_request() {
    // Whether the last thread begins to wait before the request comes, or behind it.
    for asked_first in [false, true] {
        let change = |config: &mut Config| config.limits.response_buffer_bytes = 200_000;
        let gate = Gate::default();
        let at = gate.clone();
        let server = serve(
            change,
            2,
            Bodies::Buffered,
            move |mut exchange: Exchange| {
                if exchange.request().path() == b"/capped/quick" {
                    return exchange.respond(ok(), b"quick");
                }
                at.pass();
                exchange.begin(ok(), None);
                for _ in 0..100 {
                    if exchange.put(&pattern(200_000)).is_err() {
                        return;
                    }
                }
                exchange.finish();
            },
        );
        let mut slow = ask(&server, 2);
        gate.await_arrivals(2);
        let mut quick = server.connect();
        if asked_first {
            quick.send(get("/capped/quick"));
            server.until("it waits", |now| now.queued == 1);
            gate.open();
        } else {
            gate.open();
            server.until("both are held", |now| {
                let held = |doing: &&Doing| **doing == Doing::Held;
                now.threads.iter().filter(held).count() == 2
            });
            quick.send(get("/capped/quick"));
        }
        assert_eq!(quick.response().text(), "quick");
        let whole = slow.iter_mut().map(Client::ends_with_last_chunk);
        assert_eq!(whole.filter(|whole| *whole).count(), 1);
    }
}

#[test]
fn a_drain_serves_those_in_line() {
    for reactors in [1, 2] {
        let (server, gate) = gated(|config| config.reactors = reactors, 1);
        let mut clients = ask(&server, 5);
        server.until("four wait", |now| now.queued == 4);
        thread::scope(|scope| {
            let draining = scope.spawn(|| server.server.stop());
            // Whoever comes now finds nobody.
            while std::net::TcpStream::connect(server.address()).is_ok() {
                thread::yield_now();
            }
            gate.open();
            for (idx, client) in clients.iter_mut().enumerate() {
                let response = client.response();
                assert_eq!(response.text(), format!("/capped/{idx}"));
                assert!(response.closes());
            }
            drop(clients);
            assert!(draining.join().expect("no panic"), "all was finished");
        });
    }
}

#[test]
fn a_server_that_ends_lets_go_of_those_in_line() {
    for reactors in [1, 2] {
        let gate = Gate::default();
        let witness = Arc::new(());
        let (at, held) = (gate.clone(), Arc::clone(&witness));
        let change = |config: &mut Config| config.reactors = reactors;
        let server = serve(change, 1, Bodies::Buffered, move |exchange| {
            let _held = Arc::clone(&held);
            at.pass();
            exchange.respond(ok(), b"too late");
        });
        // Alone at first: of six at once, any might be the one that is not in line.
        let _stuck = ask(&server, 1);
        gate.await_arrivals(1);
        let mut in_line = ask(&server, 5);
        server.until("five wait", |now| now.queued == 5);
        assert!(!server.server.stop_within(Duration::ZERO), "it is cut");
        // The application is stuck still; those in line do not wait for it.
        for client in &mut in_line {
            client.rest_or_reset();
        }
        gate.open();
        server.server.join();
        drop(server);
        assert_eq!(
            Arc::strong_count(&witness),
            1,
            "nothing of the server is left"
        );
    }
}
