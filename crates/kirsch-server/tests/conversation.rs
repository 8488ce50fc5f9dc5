//! What a client and the server say to each other on one connection, in which order, and who hangs up.

mod support;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kirsch_server::{Block, Exchange};
use support::{Bodies, Client, End, Gate, TestServer, echo, get, ok, pattern, post, read_all};

const BOTH: [Bodies; 2] = [Bodies::Buffered, Bodies::Streamed];

#[test]
fn a_peer_that_has_shut_its_side_gets_its_answer() {
    let large = pattern(700_000);
    let requests: [(&str, Vec<u8>, Vec<u8>); 4] = [
        ("get", get("/a").into_bytes(), b"/a".to_vec()),
        ("post", post("/", b"body"), b"/body".to_vec()),
        (
            "chunked",
            b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
            b"/abc".to_vec(),
        ),
        ("spooled", post("/", &large), [b"/", &large[..]].concat()),
    ];
    for bodies in BOTH {
        for timeout in [None, Some(Duration::from_secs(30))] {
            let server =
                TestServer::start(|config| config.timeouts.request = timeout, bodies, echo);
            for (name, request, answer) in &requests {
                let mut client = server.connect();
                client.send(request).shut();
                assert!(
                    client.response().body == *answer,
                    "{name}, {bodies:?}, {timeout:?}"
                );
                client.assert_closed();
            }
            server.until("all closed", |now| now.connections == 0);
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for bodies in BOTH {
        let server = TestServer::start(|_| {}, bodies, echo);
        let mut client = server.connect();
        let mut all = Vec::new();
        for idx in 0..50 {
            all.extend(get(&format!("/get/{idx}")).into_bytes());
            all.extend(post(&format!("/post/{idx}/"), b"some bytes"));
            all.extend_from_slice(
                format!(
                    "PUT /chunks/{idx}/ HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                .as_bytes(),
            );
            all.extend_from_slice(b"4\r\nfour\r\n1;x=y\r\n!\r\n0\r\nTrailer: t\r\n\r\n");
        }
        client.send(&all);
        for idx in 0..50 {
            assert_eq!(client.response().text(), format!("/get/{idx}"));
            assert_eq!(client.response().text(), format!("/post/{idx}/some bytes"));
            assert_eq!(client.response().text(), format!("/chunks/{idx}/four!"));
        }
    }
}

#[test]
fn nothing_behind_a_refused_request_is_a_request() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = TestServer::start(
        |_| {},
        Bodies::Buffered,
        move |exchange| {
            counted.fetch_add(1, Ordering::SeqCst);
            echo(exchange);
        },
    );
    let mut client = server.connect();
    client.send([&get("/good"), "BAD\r\n\r\n", &get("/never")].concat());
    assert_eq!(client.response().text(), "/good");
    let refusal = client.response();
    assert_eq!((refusal.status, refusal.closes()), (400, true));
    client.assert_closed();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn the_client_and_the_application_may_both_end_the_connection() {
    let server = TestServer::start(
        |_| {},
        Bodies::Buffered,
        |exchange: Exchange| {
            let mut head = ok();
            if exchange.request().target() == b"/close" {
                head.field(b"Connection", b"close").expect("a good field");
            }
            exchange.respond(head, b"x");
        },
    );
    let cases = [
        (
            "asked for",
            "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        ),
        (
            "the application's wish",
            "GET /close HTTP/1.1\r\nHost: t\r\n\r\n",
        ),
        ("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"),
    ];
    for (name, request) in cases {
        let mut client = server.connect();
        client.send([request, &get("/never")].concat());
        let response = client.response();
        assert!(response.status == 200 && response.closes(), "{name}");
        client.assert_closed();
    }
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2));
    for _ in 0..2 {
        assert_eq!(client.response().field("connection"), Some("keep-alive"));
    }
}

#[test]
fn a_connection_ends_after_so_many_requests_however_they_are_served() {
    for bodies in BOTH {
        for timeout in [None, Some(Duration::from_secs(30))] {
            let server = TestServer::start(
                |config| {
                    config.keepalive_requests = Some(3);
                    config.timeouts.request = timeout;
                },
                bodies,
                echo,
            );
            let mut client = server.connect();
            client.send(post("/", b"x").repeat(4));
            let closing: Vec<bool> = (0..3).map(|_| client.response().closes()).collect();
            assert_eq!(closing, [false, false, true], "{bodies:?} {timeout:?}");
            client.assert_closed();
        }
    }
}

const EXPECT: &str =
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn a_100_is_sent_when_the_body_is_wanted_and_has_not_come() {
    for bodies in BOTH {
        let server = TestServer::start(|_| {}, bodies, echo);
        let mut client = server.connect();
        for _ in 0..3 {
            assert_eq!(client.send(EXPECT).response().status, 100, "{bodies:?}");
            assert_eq!(client.send("body").response().text(), "/body");
        }
        client.send([EXPECT, "body"].concat());
        assert_eq!(client.response().status, 200, "it has come: {bodies:?}");
        client.send(EXPECT.replace("1.1", "1.0")).send("body");
        assert_eq!(
            client.response().status,
            200,
            "HTTP/1.0 knows no 100: {bodies:?}"
        );
    }
}

#[test]
fn no_100_is_sent_to_an_application_that_does_not_read_and_the_connection_ends() {
    let server = TestServer::start(
        |_| {},
        Bodies::Streamed,
        |exchange| exchange.respond(ok(), b"no"),
    );
    let mut client = server.connect();
    let response = client.send(EXPECT).response();
    assert_eq!((response.status, response.closes()), (200, true));
    client.assert_closed();
}

#[test]
fn no_100_is_sent_behind_the_beginning_of_a_response() {
    let begun = Gate::default();
    let received = begun.clone();
    let server = TestServer::start(
        |_| {},
        Bodies::Streamed,
        move |mut exchange: Exchange| {
            exchange.begin(ok(), None);
            assert_eq!(exchange.block(b"first"), Ok(Block::Taken));
            begun.pass();
            let body = read_all(&mut exchange.request_mut().take_body()).expect("a body");
            assert_eq!(exchange.block(&body), Ok(Block::Taken));
            exchange.finish();
        },
    );
    let mut client = server.connect();
    client.send(EXPECT);
    assert_eq!(client.exactly(12), b"HTTP/1.1 200");
    received.open();
    client.send("body");
    let (rest, end) = client.rest();
    let rest = String::from_utf8(rest).expect("text");
    assert!(
        rest.ends_with("\r\n\r\n5\r\nfirst\r\n4\r\nbody\r\n0\r\n\r\n"),
        "{rest}"
    );
    assert_eq!(end, End::Clean);
}

#[test]
fn an_early_answer_keeps_the_connection_if_little_of_the_body_is_left() {
    let server = TestServer::start(
        |_| {},
        Bodies::Streamed,
        |exchange| exchange.respond(ok(), b"early"),
    );
    let mut client = server.connect();
    for len in [1_usize, 1000, 64 * 1024] {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {len}\r\n\r\n"
        ));
        assert_eq!(client.response().text(), "early");
        client.send(pattern(len));
    }
    // The same again, all in one piece, and with the client's side shut behind the last request.
    let one = post("/", &pattern(30_000));
    client.send([one.clone(), one].concat()).shut();
    assert_eq!(client.response().text(), "early");
    assert_eq!(client.response().text(), "early");
    client.assert_closed();
}

#[test]
fn an_early_answer_to_a_body_of_unknown_length_says_that_the_connection_ends() {
    let server = TestServer::start(
        |_| {},
        Bodies::Streamed,
        |exchange| exchange.respond(ok(), b"early"),
    );
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    let response = client.response();
    assert_eq!(response.text(), "early");
    assert_eq!(response.field("Connection"), Some("close"));
    client.send("5\r\nhello\r\n0\r\n\r\n").shut();
    client.assert_closed();
}

#[test]
fn an_early_answer_to_a_large_body_arrives_and_the_connection_ends() {
    let server = TestServer::start(
        |_| {},
        Bodies::Streamed,
        |exchange| exchange.respond(ok(), b"early"),
    );
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n");
    client.send(pattern(500_000));
    assert_eq!(client.response().text(), "early");
    client.assert_closed();
    client.send(pattern(500_000));
    drop(client);
    server.until("closed", |now| now.connections == 0);
}

#[test]
fn a_streamed_body_that_breaks_ends_the_connection_behind_the_answer() {
    let server = TestServer::start(|_| {}, Bodies::Streamed, echo);
    let chunked = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = server.connect();
    client.send([chunked, "5\r\nhello\r\nnonsense\r\n", &get("/never")].concat());
    let response = client.response();
    assert!(response.text().starts_with("/ broken: "), "{response:?}");
    client.assert_closed();

    let mut client = server.connect();
    client.send([chunked, "5\r\nhel"].concat()).shut();
    assert!(client.response().text().starts_with("/ broken: "));
    client.assert_closed();
    assert_eq!(server.server.statistics().panics, 0);
}

#[test]
fn bytes_beyond_content_length_are_dropped_wherever_the_response_waits() {
    let content = pattern(3_000_000);
    let expected = content.clone();
    let begun = Gate::default();
    let read = begun.clone();
    let server = TestServer::start(
        |config| config.limits.response_memory_bytes = 1024,
        Bodies::Buffered,
        move |mut exchange: Exchange| {
            let mut head = ok();
            head.field(b"Content-Length", b"2500000")
                .expect("a good field");
            exchange.begin(head, None);
            // Nobody reads until the whole block was given: part of it is in the socket, part in a file.
            let given = exchange.put(&content);
            read.open();
            assert_eq!(given, Ok(()));
            let finished = exchange.finish();
            assert_eq!((finished.missing, finished.overflow), (0, 500_000));
        },
    );
    let mut client = server.connect();
    client.send(get("/"));
    begun.pass();
    assert!(client.response().body == expected[..2_500_000]);
    assert_eq!(client.get("/").status, 200, "the connection stays");
}

#[test]
fn a_slow_client_gets_every_kind_of_block_in_order() {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&pattern(1_500_000)).expect("a disk");
    let file = Arc::new(file);
    let unread = Gate::default();
    let given = unread.clone();
    let server = TestServer::start(
        |config| {
            config.limits.response_memory_bytes = 100_000;
            config.limits.response_buffer_bytes = 64_000_000;
        },
        Bodies::Buffered,
        move |mut exchange: Exchange| {
            let length = (exchange.request().target() == b"/length").then_some(18_900_000);
            exchange.begin(ok(), length);
            for round in 0..3 {
                assert_eq!(exchange.put(&pattern(800_000)), Ok(()), "{round}");
                assert_eq!(exchange.shared_block(Box::new(pattern(4_000_000))), Ok(()));
                for _ in 0..50_000 / 500 {
                    assert_eq!(exchange.put(&pattern(500)), Ok(()));
                }
                assert_eq!(exchange.file(&file, 50_000, 1_450_000), Ok(()));
            }
            given.open();
            exchange.finish();
        },
    );
    let round = [
        pattern(800_000),
        pattern(4_000_000),
        pattern(500).repeat(100),
        pattern(1_500_000)[50_000..].to_vec(),
    ]
    .concat();
    for path in ["/length", "/chunks"] {
        let mut client = server.connect();
        client.send(get(path));
        unread.pass();
        assert!(client.response().body == round.repeat(3), "{path}");
        client.send(get(path)).response();
    }
    server.until("given back", |now| {
        now.buffer_bytes == 0 && now.spool_bytes == 0
    });
}

#[test]
fn a_response_may_end_with_a_file_that_outran_its_client() {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&pattern(6_500_123)).expect("a disk");
    let file = Arc::new(file);
    let server = TestServer::start(
        |_| {},
        Bodies::Buffered,
        move |mut exchange: Exchange| {
            exchange.begin(ok(), Some(6_500_123));
            assert_eq!(exchange.file(&file, 0, 6_500_123), Ok(()));
            exchange.finish();
        },
    );
    let mut client = server.connect();
    client.send(get("/"));
    server.until("outran", |now| now.outran == 1);
    for _ in 0..2 {
        assert!(client.response().body == pattern(6_500_123));
        client.send(get("/"));
    }
    assert!(client.response().body == pattern(6_500_123));
}

#[test]
fn an_aborted_response_can_be_told_from_a_whole_one() {
    let server = TestServer::start(
        |_| {},
        Bodies::Buffered,
        |mut exchange: Exchange| {
            let large = exchange.request().target() == b"/large";
            exchange.begin(ok(), None);
            let _ = exchange.put(&pattern(if large { 9_000_000 } else { 10 }));
            exchange.abort();
        },
    );
    for path in ["/small", "/large"] {
        let mut client = server.connect();
        client.send(get(path));
        let (rest, end) = client.rest();
        assert!(
            !rest.ends_with(b"0\r\n\r\n") && end == End::Clean,
            "chunked {path}"
        );
        // The end of the connection is the only end such a response has.
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert_eq!(client.rest().1, End::Reset, "until close {path}");
    }
}

#[test]
fn a_file_that_became_shorter_aborts_its_response() {
    let file = Arc::new({
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"short").expect("a disk");
        file
    });
    let give = |file: &Arc<File>, mut exchange: Exchange| {
        exchange.begin(ok(), None);
        if exchange.request().target() == b"/later" {
            let _ = exchange.shared_block(Box::new(pattern(9_000_000)));
        }
        let _ = exchange.file(file, 0, 100);
    };
    let server = TestServer::start(
        |_| {},
        Bodies::Buffered,
        move |exchange| give(&file, exchange),
    );
    for path in ["/now", "/later"] {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert_eq!(client.rest().1, End::Reset, "{path}");
        let mut client = server.connect();
        client.send(get(path));
        assert!(!client.rest().0.ends_with(b"0\r\n\r\n"), "{path}");
    }
}

#[test]
fn a_client_may_leave_at_any_byte() {
    let request = [
        "POST /x HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        &get("/next"),
    ]
    .concat();
    for bodies in BOTH {
        let server = TestServer::start(|_| {}, bodies, echo);
        for len in 0..=request.len() {
            let mut client = server.connect();
            client.send(&request[..len]);
            client.reset();
            let mut client = server.connect();
            client.send(&request[..len]);
            drop(client);
        }
        assert_eq!(server.connect().get("/good").text(), "/good");
        server.until("all gone", |now| {
            now.connections == 0 && now.buffer_bytes == 0
        });
        assert_eq!(server.server.statistics().panics, 0);
    }
}

#[test]
fn a_client_that_leaves_in_a_response_is_noticed_by_the_application() {
    let gone = Gate::default();
    let noticed = gone.clone();
    let server = TestServer::start(
        |_| {},
        Bodies::Buffered,
        move |mut exchange: Exchange| {
            exchange.begin(ok(), None);
            while exchange.put(&pattern(100_000)).is_ok() {}
            noticed.open();
        },
    );
    let mut client = server.connect();
    client.send(get("/"));
    server.until("outran", |now| now.outran == 1);
    client.reset();
    gone.pass();
    server.until("clean", |now| {
        now.connections == 0 && now.buffer_bytes == 0 && now.spool_bytes == 0
    });
}

#[test]
fn head_has_no_body_whoever_answers() {
    let server = TestServer::start(
        |_| {},
        Bodies::Buffered,
        |exchange: Exchange| {
            if exchange.request().target() == b"/fails" {
                return;
            }
            exchange.respond(ok(), b"body");
        },
    );
    let mut client = server.connect();
    for (path, status) in [("/", 200), ("/fails", 500), ("/", 200)] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_eq!(client.response_to_head().status, status);
    }
    assert_eq!(client.get("/").text(), "body");
}

#[test]
fn a_unix_socket_serves_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let bind = kirsch_server::Bind::Unix(path.clone());
    let server = TestServer::start(|config| config.binds = vec![bind], Bodies::Buffered, echo);
    let connect = || {
        let stream = std::os::unix::net::UnixStream::connect(&path).expect("the server listens");
        stream
            .set_read_timeout(Some(support::PATIENCE))
            .expect("a socket");
        Client::over(stream)
    };
    let mut client = connect();
    assert_eq!(client.get("/a").text(), "/a");
    client.send(post("/", b"body"));
    client
        .wire
        .shutdown(std::net::Shutdown::Write)
        .expect("an open socket");
    assert_eq!(client.response().text(), "/body");
    client.assert_closed();
    server.server.stop_within(Duration::ZERO);
    server.server.join();
    assert!(!path.exists(), "removed");
}

#[test]
fn an_inherited_descriptor_serves_as_well() {
    use std::os::fd::OwnedFd;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let config = kirsch_server::Config {
        binds: vec![kirsch_server::Bind::Descriptor(3)],
        ..kirsch_server::Config::default()
    };
    let answer = kirsch_server::Answer {
        status: "200 OK".to_owned(),
        fields: Vec::new(),
        body: b"inherited".to_vec(),
    };
    let inherited = vec![(3, OwnedFd::from(listener))];
    let server =
        kirsch_server::Server::bind_with(config, Arc::new(answer), inherited).expect("adopted");
    server.start().expect("threads");
    let server = TestServer { server };
    assert_eq!(server.address(), address);
    assert_eq!(server.connect().get("/").text(), "inherited");
}
