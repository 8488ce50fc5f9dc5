//! Several reactors: each has its share of connections and threads, and together they are one server.

mod support;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kirsch_server::{Bind, Config, Exchange, Gateway, Lane, Server, StartError};
use support::{Bodies, Client, Gate, PATIENCE, TestServer, echo, get, ok, pattern, post};

const COUNTS: [usize; 2] = [2, 4];

fn serve(
    reactors: usize,
    change: impl FnOnce(&mut Config),
    handle: impl Fn(Exchange) + Send + Sync + 'static,
) -> TestServer {
    let with_reactors = |config: &mut Config| {
        config.reactors = reactors;
        change(config);
    };
    TestServer::start(with_reactors, Bodies::Buffered, handle)
}

/// Answers with the number of the thread: threads are dealt to reactors in turn.
fn tell_thread(exchange: Exchange) {
    let thread = thread::current();
    let name = thread.name().and_then(|name| name.strip_prefix("kirsch-"));
    exchange.respond(ok(), name.expect("a pool thread").as_bytes());
}

/// A gateway whose `/wait` waits at a gate.
fn waiting_at(gate: &Gate) -> impl Fn(Exchange) + Send + Sync + 'static {
    let gate = gate.clone();
    move |exchange| {
        if exchange.request().path() == b"/wait" {
            gate.pass();
        }
        echo(exchange);
    }
}

/// Clients whose connections are dealt to the reactors in this order.
fn connect(server: &TestServer, count: usize) -> Vec<Client> {
    let connect = |_| {
        let mut client = server.connect();
        assert_eq!(client.get("/hello").status, 200);
        client
    };
    (0..count).map(connect).collect()
}

#[test]
fn connections_are_dealt_in_turn_and_stay() {
    for reactors in COUNTS {
        let server = serve(reactors, |config| config.threads = 6, tell_thread);
        let mut clients = connect(&server, 16);
        for _ in 0..10 {
            for (idx, client) in clients.iter_mut().enumerate() {
                let thread: usize = client.get("/").text().parse().expect("a number");
                assert_eq!(thread % reactors, idx % reactors, "thread {thread}");
            }
        }
        let statistics = server.server.statistics();
        assert_eq!((statistics.connections, statistics.accepted), (16, 16));
        assert_eq!((statistics.requests, statistics.pool.jobs), (176, 176));
        assert_eq!(statistics.threads.len(), 6);
    }
}

#[test]
fn each_reactor_has_a_thread() {
    let server = serve(4, |config| config.threads = 1, tell_thread);
    assert_eq!(server.server.threads(), 4);
    for (idx, mut client) in connect(&server, 4).into_iter().enumerate() {
        assert_eq!(client.get("/").text(), idx.to_string());
    }
}

#[test]
fn requests_are_answered_in_order() {
    for reactors in COUNTS {
        let server = serve(reactors, |_| {}, echo);
        thread::scope(|scope| {
            for number in 0..16 {
                let mut client = server.connect();
                scope.spawn(move || {
                    let mut rest = 1000;
                    while rest > 0 {
                        let batch = rest.min(1 + rest * 7 % 20);
                        let path = |idx| format!("/{number}/{}", rest - idx);
                        client.send((0..batch).map(|idx| get(&path(idx))).collect::<String>());
                        for idx in 0..batch {
                            assert_eq!(client.response().text(), path(idx));
                        }
                        rest -= batch;
                    }
                });
            }
        });
        assert_eq!(server.server.statistics().requests, 16_000);
    }
}

#[test]
fn uploads_go_through_files() {
    for reactors in COUNTS {
        let server = serve(
            reactors,
            |config| config.limits.body_memory_bytes = 1000,
            echo,
        );
        let body = pattern(300_000);
        let mut clients = connect(&server, 8);
        for client in &mut clients {
            client.send(&post("/", &body)[..200_000]);
        }
        server.until("it spools", |now| now.spool_bytes > 8 * 100_000);
        for client in &mut clients {
            client.send(&post("/", &body)[200_000..]);
            assert!(client.response().body == [b"/", &body[..]].concat());
        }
        server.until("nothing is left", |now| {
            (now.spool_bytes, now.buffer_bytes) == (0, 0)
        });
    }
}

#[test]
fn slow_readers_get_everything_and_hold_nobody_up() {
    for reactors in COUNTS {
        let server = serve(
            reactors,
            |config| {
                config.limits.response_memory_bytes = 10_000;
                config.limits.response_buffer_bytes = 20_000_000;
            },
            |mut exchange| {
                if exchange.request().path() != b"/large" {
                    return echo(exchange);
                }
                exchange.begin(ok(), None);
                for block in pattern(10_000_000).chunks(50_000) {
                    exchange.put(block).expect("the client stays");
                }
                exchange.finish();
            },
        );
        let mut slow = connect(&server, reactors);
        for client in &mut slow {
            client.send(get("/large"));
        }
        let outran = reactors as u64;
        server.until("they are slow", |now| now.outran == outran);
        for mut client in connect(&server, reactors) {
            assert_eq!(client.get("/quick").text(), "/quick");
        }
        for client in &mut slow {
            assert!(client.response().body == pattern(10_000_000));
            assert_eq!(client.get("/after").text(), "/after");
        }
    }
}

#[test]
fn a_drain_finishes_what_is_under_way_on_every_reactor() {
    for reactors in COUNTS {
        let gate = Gate::default();
        let server = serve(reactors, |config| config.threads = 8, waiting_at(&gate));
        let mut clients = connect(&server, 8);
        let mut idle = connect(&server, 8);
        for client in &mut clients {
            client.send(get("/wait"));
        }
        gate.await_arrivals(8);
        thread::scope(|scope| {
            let stopped = scope.spawn(|| server.server.stop_within(PATIENCE));
            for client in &mut idle {
                client.assert_closed();
            }
            gate.open();
            for client in &mut clients {
                let response = client.response();
                assert_eq!((response.text(), response.closes()), ("/wait", true));
                client.assert_closed();
            }
            assert!(stopped.join().expect("no panic"));
        });
        assert_eq!(server.server.statistics().connections, 0);
    }
}

#[test]
fn who_came_before_the_stop_is_served() {
    for reactors in COUNTS {
        for _ in 0..10 {
            let server = serve(reactors, |_| {}, echo);
            let mut clients: Vec<Client> = (0..16).map(|_| server.connect()).collect();
            for client in &mut clients {
                client.send(get("/late"));
            }
            thread::scope(|scope| {
                let stopped = scope.spawn(|| server.server.stop_within(PATIENCE));
                for mut client in clients {
                    let response = client.response();
                    assert_eq!((response.status, response.text()), (200, "/late"));
                }
                assert!(stopped.join().expect("no panic"));
            });
        }
    }
}

#[test]
fn a_stop_at_once_ends() {
    for reactors in COUNTS {
        let gate = Gate::default();
        let server = serve(reactors, |config| config.threads = 4, waiting_at(&gate));
        let mut clients = connect(&server, 4);
        let mut idle = connect(&server, 4);
        for client in &mut clients {
            client.send(get("/wait"));
        }
        gate.await_arrivals(4);
        let begin = Instant::now();
        assert!(!server.server.stop_within(Duration::ZERO));
        assert!(begin.elapsed() < Duration::from_secs(2));
        gate.open();
        server.server.join();
        for client in clients.iter_mut().chain(&mut idle) {
            client.rest_or_reset();
        }
    }
}

#[test]
fn the_limit_of_connections_is_that_of_all_together() {
    for reactors in COUNTS {
        let server = serve(reactors, |config| config.limits.connections = 5, echo);
        let mut clients = connect(&server, 5);
        for round in 1..=20 {
            clients.extend(connect(&server, 1));
            let statistics = server.server.statistics();
            assert_eq!((statistics.connections, statistics.evicted), (5, round));
        }
        let closed = |client: &mut Client| client.rest_or_reset();
        let (old, _) = clients.split_at_mut(5);
        old.iter_mut().for_each(|client| {
            closed(client);
        });
    }
}

#[test]
fn a_crowd_that_comes_and_goes_at_the_limit_is_served() {
    let request = "GET /crowd HTTP/1.1\r\nHost: t\r\n\r\n";
    for reactors in COUNTS {
        let server = serve(reactors, |config| config.limits.connections = 6, echo);
        // Answers whether all answers came before the connection had to make room.
        let come = &|rounds: usize| {
            let mut client = server.connect().wire;
            (0..rounds).all(|_| {
                let mut head = [0; 4096];
                let sent = client.write_all(request.as_bytes()).is_ok();
                sent && client.read(&mut head).is_ok_and(|count| count > 0)
            })
        };
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let crowd: Vec<_> = (0..16)
                .map(|rounds| scope.spawn(move || (0..50).filter(|_| come(1 + rounds % 4)).count()))
                .collect();
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let now = server.server.statistics().connections;
                    assert!(now <= 6, "{now} connections");
                }
            });
            for one in crowd {
                assert!(one.join().expect("nobody waits for ever") > 0);
            }
            over.store(true, Ordering::SeqCst);
        });
        server.until("all have gone", |now| now.connections == 0);
        assert_eq!(server.server.statistics().accepted, 16 * 50);
    }
}

#[test]
fn room_is_made_where_there_is_an_idle_connection() {
    let gate = Gate::default();
    let server = serve(
        2,
        |config| {
            config.threads = 8;
            config.limits.connections = 4;
        },
        waiting_at(&gate),
    );
    // The next is the first reactor's, where nobody is idle, though one is in a head.
    let mut clients = connect(&server, 4);
    // It reads this before what the same reactor's client 0 sends later: once that has arrived, this has.
    clients[2].send("GET /head HTTP/1.1\r\n");
    clients[0].send(get("/wait"));
    clients[1].send(get("/wait"));
    gate.await_arrivals(2);
    let mut first = server.connect();
    assert_eq!(first.get("/first").text(), "/first");
    clients[3].assert_closed();

    // Nobody is idle: the one in a head goes.
    first.send(get("/wait"));
    gate.await_arrivals(3);
    let mut second = server.connect();
    second.send(get("/wait"));
    gate.await_arrivals(4);
    clients[2].rest_or_reset();

    // Nobody can go: the next waits until somebody can.
    let mut third = server.connect();
    third.send(get("/third"));
    thread::sleep(Duration::from_millis(50));
    assert_eq!(server.server.statistics().accepted, 6);
    gate.open();
    assert_eq!(third.response().text(), "/third");
    assert_eq!(server.server.statistics().evicted, 3);
}

#[test]
fn a_reactor_whose_threads_are_all_blocked_delays_no_other() {
    let gate = Gate::default();
    let server = serve(2, |config| config.threads = 4, waiting_at(&gate));
    let mut clients = connect(&server, 6);
    // All of the first reactor's; it has two threads.
    for client in clients.iter_mut().step_by(2) {
        client.send(get("/wait"));
    }
    gate.await_arrivals(2);
    server.until("the third queues", |now| now.queued == 1);
    for round in 0..100 {
        let path = format!("/{round}");
        assert_eq!(clients[1 + round % 3 * 2].get(&path).text(), path);
    }
    // It goes on accepting for the others.
    let mut fresh = [server.connect(), server.connect()];
    fresh[0].send(get("/same"));
    assert_eq!(fresh[1].get("/other").text(), "/other");
    gate.open();
    assert_eq!(fresh[0].response().text(), "/same");
    for client in clients.iter_mut().step_by(2) {
        assert_eq!(client.response().text(), "/wait");
    }
}

#[test]
fn a_gateway_with_an_interpreter_has_one_reactor() {
    struct Interpreted;

    impl Gateway for Interpreted {
        fn handle(&self, exchange: Exchange) {
            echo(exchange);
        }

        fn lane(&self) -> Lane {
            Lane::Interpreter
        }
    }

    let config = Config {
        binds: vec![Bind::Tcp(([127, 0, 0, 1], 0).into())],
        reactors: 2,
        ..Config::default()
    };
    let refused = Server::bind(config, Arc::new(Interpreted)).expect_err("it is refused");
    assert!(matches!(refused, StartError::Reactors(2)));
    assert_eq!(
        refused.to_string(),
        "cannot start 2 reactors: the gateway needs an interpreter, which one reactor serves"
    );
}
