//! Every limit and every timeout of the configuration, and what the client gets who meets it.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kirsch_server::{Config, Doing, Exchange};
use support::{Bodies, Client, End, Gate, TestServer, echo, get, ok, pattern, post, read_all};

/// A change to the configuration, and its name.
type Changed = (&'static str, fn(&mut Config));

const SHORT: Duration = Duration::from_millis(150);

#[test]
fn what_is_too_large_is_refused_with_its_own_status() {
    let fields: String = (0..11).map(|idx| format!("X-{idx}: y\r\n")).collect();
    let cases = [
        (
            "head",
            431,
            format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}", "y".repeat(1100)),
        ),
        (
            "fields",
            431,
            format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n"),
        ),
        (
            "target",
            414,
            format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "y".repeat(210)),
        ),
        (
            "length",
            413,
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5001\r\n\r\n".to_owned(),
        ),
        (
            "length, expecting",
            413,
            "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5001\r\n\r\n"
                .to_owned(),
        ),
        (
            "chunks",
            413,
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n".to_owned()
                + &"y".repeat(5000)
                + "\r\n1\r\n",
        ),
    ];
    let server = TestServer::start(
        |config| {
            config.limits.head_bytes = 1024;
            config.limits.head_fields = 10;
            config.limits.target_bytes = 200;
            config.limits.body_bytes = 5000;
        },
        Bodies::Buffered,
        echo,
    );
    for (name, status, request) in cases {
        let mut client = server.connect();
        let response = client.send(request).response();
        assert_eq!(
            (response.status, response.closes()),
            (status, true),
            "{name}"
        );
        client.assert_closed();
    }
    assert_eq!(
        server
            .connect()
            .send(post("/", &[b'y'; 5000]))
            .response()
            .body
            .len(),
        5001
    );
}

#[test]
fn a_body_goes_to_a_file_and_comes_back_whole() {
    let body = pattern(1_000_000);
    let expected = [b"/", &body[..]].concat();
    let configurations: [Changed; 3] = [
        ("too long for memory", |config| {
            config.limits.body_memory_bytes = 1000;
        }),
        ("no memory at all", |config| {
            config.limits.buffer_memory_bytes = 0;
        }),
        ("one thread", |config| config.threads = 1),
    ];
    for (name, change) in configurations {
        let server = TestServer::start(change, Bodies::Buffered, echo);
        let mut client = server.connect();
        for _ in 0..2 {
            client.send(post("/", &body));
            assert!(client.response().body == expected, "{name}");
        }
        client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
        for part in body.chunks(77_777) {
            client.send([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
        }
        client.send("0\r\n\r\n");
        assert!(client.response().body == expected, "{name}, chunked");
        server.until("given back", |now| {
            now.buffer_bytes == 0 && now.spool_bytes == 0
        });
    }
}

#[test]
fn a_body_that_finds_no_room_is_answered_with_503_and_the_server_goes_on() {
    let configurations: [Changed; 2] = [
        ("the spool is full", |config| {
            config.limits.spool_bytes = 200_000;
        }),
        ("there is no folder", |config| {
            config.spool_dir = Some("/nonexistent/folder".into());
        }),
    ];
    for (name, change) in configurations {
        let server = TestServer::start(
            |config| {
                config.limits.body_memory_bytes = 10_000;
                change(config);
            },
            Bodies::Buffered,
            echo,
        );
        for _ in 0..3 {
            let mut client = server.connect();
            client.send(post("/", &pattern(400_000)));
            let response = client.response();
            assert_eq!((response.status, response.closes()), (503, true), "{name}");
            assert!(response.field("retry-after").is_some(), "{name}");
        }
        assert_eq!(
            server.connect().send(post("/", b"small")).response().text(),
            "/small"
        );
        server.until("given back", |now| {
            now.spool_bytes == 0 && now.buffer_bytes == 0
        });
    }
}

#[test]
fn a_response_that_finds_no_room_breaks_visibly_and_the_server_goes_on() {
    let server = TestServer::start(
        |config| {
            config.limits.buffer_memory_bytes = 50_000;
            config.limits.spool_bytes = 50_000;
        },
        Bodies::Buffered,
        |mut exchange: Exchange| {
            exchange.begin(ok(), None);
            while exchange.put(&pattern(10_000)).is_ok() {}
        },
    );
    let mut client = server.connect();
    client.send(get("/"));
    server.until("given up", |now| {
        now.outran == 1 && now.threads.iter().all(|doing| *doing != Doing::Running)
    });
    let (bytes, _) = client.rest();
    assert!(bytes.starts_with(b"HTTP/1.1 200") && !bytes.ends_with(b"0\r\n\r\n"));
    server.until("given back", |now| {
        now.spool_bytes == 0 && now.buffer_bytes == 0 && now.connections == 0
    });
}

#[test]
fn beyond_the_response_buffer_the_application_waits_for_its_client() {
    const BLOCKS: usize = 60;
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let server = TestServer::start(
        |config| config.limits.response_buffer_bytes = 1_000_000,
        Bodies::Buffered,
        move |mut exchange: Exchange| {
            let shared = exchange.request().target() == b"/shared";
            exchange.begin(ok(), None);
            for _ in 0..BLOCKS {
                let done = match shared {
                    true => exchange.shared_block(Box::new(pattern(500_000))),
                    false => exchange.put(&pattern(500_000)),
                };
                assert_eq!(done, Ok(()));
                count.fetch_add(1, Ordering::SeqCst);
            }
            exchange.finish();
        },
    );
    for path in ["/shared", "/copied"] {
        given.store(0, Ordering::SeqCst);
        let mut client = server.connect();
        client.send(get(path));
        server.until("held", |now| now.threads.contains(&Doing::Held));
        assert!(given.load(Ordering::SeqCst) < BLOCKS, "{path}");
        assert!(
            client.response().body == pattern(500_000).repeat(BLOCKS),
            "{path}"
        );
    }
    server.until("given back", |now| {
        now.spool_bytes == 0 && now.buffer_bytes == 0
    });
}

#[test]
fn when_every_thread_waits_for_a_client_only_the_slowest_is_given_up_for_a_request() {
    let server = TestServer::start(
        |config| {
            config.threads = 3;
            config.limits.response_buffer_bytes = 200_000;
        },
        Bodies::Buffered,
        |mut exchange: Exchange| {
            if exchange.request().target() == b"/quick" {
                return exchange.respond(ok(), b"quick");
            }
            exchange.begin(ok(), None);
            for _ in 0..100 {
                if exchange.put(&pattern(200_000)).is_err() {
                    return;
                }
            }
            exchange.finish();
        },
    );
    let mut slow: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send(get("/slow"));
    }
    server.until("all held", |now| {
        now.threads.iter().all(|doing| *doing == Doing::Held)
    });
    assert_eq!(server.connect().get("/quick").text(), "quick");
    let whole = slow.iter_mut().map(Client::ends_with_last_chunk);
    assert_eq!(whole.filter(|whole| *whole).count(), 2);
}

#[test]
fn the_longest_idle_connection_makes_room_then_one_that_lingers_then_the_oldest_head() {
    let server = TestServer::start(
        |config| config.limits.connections = 5,
        Bodies::Buffered,
        echo,
    );
    let mut half: Vec<Client> = Vec::new();
    for idx in 1..=2 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHo");
        server.until("accepted", |now| now.accepted == idx);
        half.push(client);
    }
    let mut lingering = server.connect();
    assert_eq!(lingering.send("BAD\r\n\r\n").response().status, 400);
    let mut idle: Vec<Client> = Vec::new();
    for idx in 0..2 {
        let mut client = server.connect();
        assert_eq!(client.get(&format!("/{idx}")).status, 200);
        idle.push(client);
    }
    // The first is idle for a shorter time than the second now.
    assert_eq!(idle[0].get("/again").status, 200);
    let mut others: Vec<Client> = Vec::new();
    let busy = |others: &mut Vec<Client>| {
        let mut client = server.connect();
        // An unfinished head, younger than all others.
        client.send("GET /new HTTP/1.1\r\nHost: t\r\n");
        others.push(client);
    };
    busy(&mut others);
    idle[1].assert_closed();
    busy(&mut others);
    idle[0].assert_closed();
    busy(&mut others);
    // The client has seen the end already.
    server.until("room is made", |now| now.evicted == 3);
    lingering.assert_closed();
    busy(&mut others);
    half[0].assert_closed();
    busy(&mut others);
    half[1].assert_closed();
    for client in &mut others {
        assert_eq!(client.send("\r\n").response().text(), "/new");
    }
    assert_eq!(server.server.statistics().evicted, 5);
}

#[test]
fn a_full_server_accepts_again_as_soon_as_somebody_is_idle() {
    let gate = Gate::default();
    let door = gate.clone();
    let server = TestServer::start(
        |config| config.limits.connections = 2,
        Bodies::Buffered,
        move |exchange| {
            if exchange.request().target() == b"/wait" {
                door.pass();
            }
            echo(exchange);
        },
    );
    let mut busy: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    for client in &mut busy {
        client.send(get("/wait"));
    }
    gate.await_arrivals(2);
    let mut third = server.connect();
    third.send(get("/third"));
    gate.open();
    // Both others stay connected, and say nothing.
    for client in &mut busy {
        assert_eq!(client.response().text(), "/wait");
    }
    assert_eq!(third.response().text(), "/third");
}

#[test]
fn beyond_the_queue_and_its_timeout_clients_are_told_to_come_back() {
    let gate = Gate::default();
    let door = gate.clone();
    let server = TestServer::start(
        |config| {
            config.threads = 1;
            config.limits.queue_jobs = 2;
            config.timeouts.queue = SHORT;
        },
        Bodies::Buffered,
        move |exchange| {
            door.pass();
            echo(exchange);
        },
    );
    let mut running = server.connect();
    running.send(get("/running"));
    gate.await_arrivals(1);
    let before = server.server.statistics().pool.queued;
    let mut queued: Vec<Client> = (0..2).map(|_| server.connect()).collect();
    for (idx, client) in queued.iter_mut().enumerate() {
        client.send(get("/queued"));
        server.until("queued", |now| now.pool.queued == before + idx as u64 + 1);
    }
    let mut refused = server.connect();
    refused.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
    let response = refused.response_to_head();
    assert_eq!(
        (response.status, response.field("retry-after").is_some()),
        (503, true)
    );
    // Nothing else happens: the queue's timeout alone has to wake the driver.
    for client in &mut queued {
        let response = client.response();
        assert_eq!((response.status, response.closes()), (503, false));
        assert!(response.field("retry-after").is_some());
    }
    gate.open();
    assert_eq!(running.response().text(), "/running");
    for client in queued.iter_mut().chain([&mut refused]) {
        assert_eq!(client.get("/again").text(), "/again");
    }
}

#[test]
fn a_head_has_to_be_whole_in_time() {
    let server = TestServer::start(
        |config| config.timeouts.head = SHORT,
        Bodies::Buffered,
        echo,
    );
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    assert_eq!(client.response().status, 408);
    client.assert_closed();
    let mut client = server.connect();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(
        client.send("G").response().status,
        408,
        "the second as well"
    );
    client.assert_closed();
    server.connect().assert_closed();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = TestServer::start(
        |config| config.timeouts.keepalive = SHORT,
        Bodies::Buffered,
        echo,
    );
    let mut client = server.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/").status, 200);
    }
    client.assert_closed();
}

#[test]
fn no_deadline_of_a_connection_runs_while_the_application_works() {
    for (bodies, timeout) in [
        (Bodies::Buffered, None),
        (Bodies::Buffered, Some(support::PATIENCE)),
        (Bodies::Streamed, None),
    ] {
        let gate = Gate::default();
        let door = gate.clone();
        let server = TestServer::start(
            |config| {
                config.timeouts.head = SHORT;
                config.timeouts.keepalive = SHORT;
                config.timeouts.body = SHORT;
                config.timeouts.write = 2 * SHORT;
                config.timeouts.request = timeout;
            },
            bodies,
            move |mut exchange: Exchange| {
                let slow = exchange.request().target() == b"/slow";
                if slow && exchange.request().head().expect_continue {
                    door.pass();
                }
                let body = read_all(&mut exchange.request_mut().take_body()).expect("a body");
                exchange.begin(ok(), None);
                assert_eq!(exchange.put(&body), Ok(()));
                if slow {
                    door.pass();
                }
                assert_eq!(exchange.put(&pattern(3_000_000)), Ok(()));
                exchange.finish();
            },
        );
        let mut slow = server.connect();
        slow.send(post("/slow", b"body"));
        let mut patient = server.connect();
        patient.send(
            "POST /slow HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
        );
        if bodies == Bodies::Buffered {
            assert_eq!(patient.response().status, 100);
            patient.send("body");
        }
        gate.await_arrivals(2);
        // Others time out meanwhile, one after the other: so the time has passed for these two as well.
        for _ in 0..3 {
            server.connect().assert_closed();
        }
        gate.open();
        if bodies == Bodies::Streamed {
            assert_eq!(patient.response().status, 100);
            patient.send("body");
        }
        let expected = [b"body", &pattern(3_000_000)[..]].concat();
        // Both at once: from now on, who does not read is timed out.
        std::thread::scope(|scope| {
            for client in [&mut slow, &mut patient] {
                let expected = &expected;
                scope.spawn(move || {
                    assert!(
                        client.response().body == *expected,
                        "{bodies:?} {timeout:?}"
                    );
                });
            }
        });
    }
}

#[test]
fn a_body_that_stops_is_answered_with_408() {
    let server = TestServer::start(
        |config| config.timeouts.body = SHORT,
        Bodies::Buffered,
        echo,
    );
    for start in ["", "some", &"x".repeat(300_000)] {
        let mut client = server.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 400000\r\n\r\n{start}"
        ));
        assert_eq!(client.response().status, 408);
        client.assert_closed();
    }
    server.until("given back", |now| {
        now.buffer_bytes == 0 && now.spool_bytes == 0
    });
}

#[test]
fn a_body_that_trickles_is_answered_with_408() {
    for bodies in [Bodies::Buffered, Bodies::Streamed] {
        let server = TestServer::start(
            |config| {
                config.timeouts.body_grace = SHORT;
                config.timeouts.body_min_rate = 1_000_000;
            },
            bodies,
            echo,
        );
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 400000\r\n\r\n");
        let wire = client.wire.try_clone().expect("a descriptor");
        let trickle = std::thread::spawn(move || {
            let mut client = Client::new(wire);
            while client.try_send("x") {
                std::thread::yield_now();
            }
        });
        let response = client.response();
        match bodies {
            Bodies::Buffered => assert_eq!(response.status, 408),
            Bodies::Streamed => assert!(response.text().starts_with("/ broken: "), "{response:?}"),
        }
        client
            .wire
            .shutdown(std::net::Shutdown::Both)
            .expect("an open socket");
        trickle.join().expect("no panic");
    }
}

#[test]
fn a_streamed_body_that_stops_is_an_error_to_the_application_and_its_answer_arrives() {
    let server = TestServer::start(
        |config| config.timeouts.body = SHORT,
        Bodies::Streamed,
        echo,
    );
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 400000\r\n\r\nsome");
    assert!(client.response().text().starts_with("/ broken: "));
    client.assert_closed();
}

#[test]
fn a_client_that_takes_nothing_is_left() {
    let gone = Gate::default();
    let noticed = gone.clone();
    let server = TestServer::start(
        |config| {
            config.timeouts.write = SHORT;
            config.limits.response_buffer_bytes = 300_000;
        },
        Bodies::Buffered,
        move |mut exchange: Exchange| {
            exchange.begin(ok(), None);
            while exchange.put(&pattern(100_000)).is_ok() {}
            noticed.open();
        },
    );
    let mut client = server.connect();
    client.send(get("/"));
    gone.pass();
    server.until("left", |now| {
        now.connections == 0 && now.buffer_bytes == 0 && now.spool_bytes == 0
    });
    let (bytes, _) = client.rest();
    assert!(!bytes.ends_with(b"0\r\n\r\n"));
}

/// Some of the responses are held back, to be sent together.
#[test]
fn clients_that_pipeline_and_take_nothing_are_left() {
    let server = TestServer::start(
        |config| config.timeouts.write = SHORT,
        Bodies::Buffered,
        |exchange: Exchange| {
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(30) {}
            echo(exchange);
        },
    );
    let clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    let requests = post("/", &pattern(100)).repeat(50);
    std::thread::scope(|scope| {
        for mut client in clients {
            let requests = &requests;
            scope.spawn(move || while client.try_send(requests) {});
        }
        server.until("left", |now| now.connections == 0);
    });
}

/// Only the end of the connection delimits it: a clean one would look like the response's.
#[test]
fn a_response_without_a_length_that_its_client_does_not_take_in_time_is_reset() {
    let server = TestServer::start(
        |config| config.timeouts.write = SHORT,
        Bodies::Buffered,
        |mut exchange: Exchange| {
            exchange.begin(ok(), None);
            assert_eq!(exchange.put(&pattern(12_000_000)), Ok(()));
            exchange.finish();
        },
    );
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    server.until("left", |now| now.outran == 1 && now.connections == 0);
    assert_eq!(client.rest_or_reset(), End::Reset);
}

#[test]
fn an_application_that_takes_too_long_is_answered_for_with_504() {
    let gate = Gate::default();
    let door = gate.clone();
    let server = TestServer::start(
        |config| config.timeouts.request = Some(SHORT),
        Bodies::Buffered,
        move |exchange| {
            if exchange.request().target() == b"/slow" {
                door.pass();
            }
            echo(exchange);
        },
    );
    let mut client = server.connect();
    assert_eq!(client.get("/quick").text(), "/quick");
    assert_eq!(client.get("/slow").status, 504);
    client.assert_closed();
    let mut client = server.connect();
    client.send("HEAD /slow HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.response_to_head().status, 504);
    client.assert_closed();
    gate.open();
    assert_eq!(server.connect().get("/quick").text(), "/quick");
}

#[test]
fn the_request_timeout_ends_with_the_head_of_the_response() {
    let gate = Gate::default();
    let door = gate.clone();
    let server = TestServer::start(
        |config| {
            config.timeouts.request = Some(SHORT);
            config.timeouts.head = SHORT;
        },
        Bodies::Buffered,
        move |mut exchange: Exchange| {
            exchange.begin(ok(), None);
            assert_eq!(exchange.put(b"first"), Ok(()));
            door.pass();
            assert_eq!(exchange.put(b"second"), Ok(()));
            exchange.finish();
        },
    );
    let mut client = server.connect();
    client.send(get("/"));
    gate.await_arrivals(1);
    for _ in 0..3 {
        server.connect().assert_closed();
    }
    gate.open();
    assert_eq!(client.response().text(), "firstsecond");
}

#[test]
fn a_connection_that_lingers_is_closed_in_the_end() {
    let server = TestServer::start(|_| {}, Bodies::Buffered, echo);
    let mut client = server.connect();
    assert_eq!(client.send("BAD\r\n\r\n").response().status, 400);
    // Its side stays open; some seconds later it is reset, or the server has had enough bytes.
    let block = pattern(64 * 1024);
    while client.try_send(&block) {}
    server.until("closed", |now| now.connections == 0);
}
