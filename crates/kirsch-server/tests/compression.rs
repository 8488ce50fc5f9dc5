//! Responses that are compressed on their way: whatever their blocks are and however they are given, the client
//! reads the same.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use kirsch_server::{
    Action, Answer, Application, Condition, Config, ContentCoding, Exchange, FieldEdits,
    ResponseHead, Route, Router, RouterOptions, Serve,
};
use proptest::prelude::*;
use support::{Bodies, TestServer};

/// How a block is given.
#[derive(Clone, Copy, Debug)]
enum Way {
    Copied,
    Shared,
    File,
}

/// Who gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Hands {
    /// A thread.
    #[default]
    Thread,
    /// A task, to which the ways are one.
    Task,
    /// A task that sends the head before it has a block.
    TaskWithHead,
}

/// A response of an application.
#[derive(Clone, Debug, Default)]
struct Given {
    blocks: Vec<(Way, Vec<u8>)>,
    announced: bool,
    hands: Hands,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn give_as_task(exchange: Exchange, given: Given, head: ResponseHead, length: Option<u64>) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut exchange = exchange.detach();
    exchange.begin(head, length);
    if given.hands == Hands::TaskWithHead {
        exchange.send_head().expect("the client listens");
    }
    for (_, block) in given.blocks {
        while exchange.poll_room(&mut Context::from_waker(&waker)) == Poll::Pending {
            thread::park();
        }
        exchange.block(block).expect("the client listens");
    }
    let finished = exchange.finish();
    assert_eq!((finished.missing, finished.overflow), (0, 0));
}

fn give(mut exchange: Exchange, given: &Given) {
    let total: usize = given.blocks.iter().map(|(_, block)| block.len()).sum();
    let mut head = ResponseHead::new();
    head.status(b"200 OK").expect("it is good");
    head.field(b"Content-Type", b"text/plain")
        .expect("it is good");
    let length = given.announced.then_some(total as u64);
    if given.hands != Hands::Thread {
        return give_as_task(exchange, given.clone(), head, length);
    }
    exchange.begin(head, length);
    for (way, block) in &given.blocks {
        match way {
            Way::Copied => exchange.put(block),
            Way::Shared => exchange.shared_block(Box::new(block.clone())),
            Way::File => {
                let mut file = tempfile::tempfile().expect("a file");
                file.write_all(block).expect("room");
                exchange.file(&Arc::new(file), 0, block.len() as u64)
            }
        }
        .expect("the client listens");
    }
    let finished = exchange.finish();
    assert_eq!((finished.missing, finished.overflow), (0, 0));
}

fn server(given: &Arc<Mutex<Given>>, change: impl FnOnce(&mut Config)) -> TestServer {
    let given = Arc::clone(given);
    TestServer::start(
        |config| {
            config.compression.codings = vec![
                ContentCoding::Brotli(4),
                ContentCoding::Zstd(3),
                ContentCoding::Gzip(6),
            ];
            change(config);
        },
        Bodies::Buffered,
        move |exchange| {
            let given = given.lock().expect("nobody panics").clone();
            give(exchange, &given);
        },
    )
}

fn decode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        "zstd" => {
            zstd::stream::read::Decoder::new(bytes).and_then(|mut it| it.read_to_end(&mut out))
        }
        other => panic!("no coding: {other}"),
    }
    .expect("it can be decoded");
    out
}

/// Asks on a connection of its own; answers the head and the content as the client reads it.
fn ask(server: &TestServer, coding: &str, http10: bool) -> (String, Vec<u8>) {
    let mut client = server.connect();
    let version = if http10 { "1.0" } else { "1.1" };
    client.send(
        format!("GET / HTTP/{version}\r\nHost: a.test\r\nAccept-Encoding: {coding}\r\n\r\n")
            .as_bytes(),
    );
    let response = client.response();
    let content = match response
        .head
        .contains(&format!("Content-Encoding: {coding}\r\n"))
    {
        true => decode(coding, &response.body),
        false => response.body,
    };
    (response.head, content)
}

fn any_block() -> impl Strategy<Value = (Way, Vec<u8>)> {
    let way = prop_oneof![Just(Way::Copied), Just(Way::Shared), Just(Way::File)];
    let len = prop_oneof![
        8 => 0..200_usize,
        4 => 200..9000_usize,
        2 => 60_000..70_000_usize,
        1 => 250_000..600_000_usize,
    ];
    // Between what becomes nothing and what does not become smaller.
    (way, len, 1..=255_u8, any::<u64>()).prop_map(|(way, len, most, seed)| {
        let mut state = seed | 1;
        let block = (0..len).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as u8 % most
        });
        (way, block.collect())
    })
}

#[test]
fn the_client_reads_what_was_given_in_whichever_blocks() {
    let given = Arc::new(Mutex::new(Given::default()));
    let server = server(&given, |_| {});
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 120,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let any = (
        prop::collection::vec(any_block(), 0..5),
        any::<bool>(),
        any::<bool>(),
        prop_oneof![
            Just(Hands::Thread),
            Just(Hands::Task),
            Just(Hands::TaskWithHead)
        ],
    );
    runner
        .run(&any, |(blocks, announced, http10, hands)| {
            let expected: Vec<u8> = blocks.iter().flat_map(|(_, block)| block.clone()).collect();
            *given.lock().expect("nobody panics") = Given {
                blocks,
                announced,
                hands,
            };
            for coding in ["gzip", "br", "zstd"] {
                let (head, content) = ask(&server, coding, http10);
                prop_assert!(content == expected, "{} {}", coding, head);
            }
            Ok(())
        })
        .expect("all are the same");
}

#[test]
fn without_memory_for_an_encoder_a_response_is_sent_as_it_is() {
    let blocks = vec![
        (Way::Copied, b"cherry ".repeat(300)),
        (Way::Copied, b"tree ".repeat(300)),
    ];
    let expected: Vec<u8> = blocks.iter().flat_map(|(_, block)| block.clone()).collect();
    let given = Arc::new(Mutex::new(Given {
        blocks,
        ..Given::default()
    }));
    let server = server(&given, |config| config.limits.buffer_memory_bytes = 1 << 20);
    let (head, content) = ask(&server, "br", false);
    assert!(
        !head.contains("Content-Encoding") && head.contains("Vary: Accept-Encoding"),
        "{head}"
    );
    assert_eq!(content, expected);
    // A smaller one has room.
    let (head, content) = ask(&server, "gzip", false);
    assert!(head.contains("Content-Encoding: gzip"), "{head}");
    assert_eq!(content, expected);
    server.until("the encoder's memory is given back", |it| {
        it.buffer_bytes == 0
    });
}

#[test]
fn a_file_that_becomes_shorter_leaves_a_response_that_is_not_whole() {
    let file = Arc::new(File::open("/dev/null").expect("it is there"));
    let server = TestServer::start(
        |config| config.compression.codings = vec![ContentCoding::Gzip(6)],
        Bodies::Buffered,
        move |mut exchange| {
            let mut head = ResponseHead::new();
            head.status(b"200 OK").expect("it is good");
            head.field(b"Content-Type", b"text/plain")
                .expect("it is good");
            exchange.begin(head, None);
            assert_eq!(exchange.put(b"begun"), Ok(()));
            assert!(exchange.file(&file, 0, 1_000_000).is_err());
        },
    );
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\n\r\n");
    let mut all = Vec::new();
    client.wire.read_to_end(&mut all).expect("it closes");
    assert!(!all.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_gateway_may_keep_its_content_as_it_is() {
    let server = TestServer::start(
        |config| config.compression.codings = vec![ContentCoding::Gzip(6)],
        Bodies::Buffered,
        |mut exchange| {
            let mut head = ResponseHead::new();
            head.status(b"200 OK").expect("it is good");
            head.field(b"Content-Type", b"text/plain")
                .expect("it is good");
            exchange.without_compression();
            exchange.respond(head, &b"cherry ".repeat(1000));
        },
    );
    let (head, content) = ask(&server, "gzip", false);
    assert!(
        !head.contains("Content-Encoding") && !head.contains("Vary"),
        "{head}"
    );
    assert_eq!(content, b"cherry ".repeat(1000));
}

/// A router before a page of cherries, with a change of its fields.
fn edited(change: impl FnOnce(&mut FieldEdits)) -> TestServer {
    let mut fields = FieldEdits::new();
    change(&mut fields);
    let page = Answer {
        status: "200 OK".to_owned(),
        fields: vec![
            ("Content-Type".to_owned(), "text/html".to_owned()),
            ("ETag".to_owned(), "\"a\"".to_owned()),
            ("Server".to_owned(), "its own".to_owned()),
        ],
        body: b"cherry ".repeat(1000),
    };
    let action = Action::Serve(Serve::new(Application::new(Arc::new(page))));
    let route = Route {
        fields,
        ..Route::new(Condition::default(), action)
    };
    let router = Router::new(vec![route], RouterOptions::default()).expect("it can match");
    TestServer::serve(
        |config| config.compression.codings = vec![ContentCoding::Gzip(6)],
        Arc::new(router),
    )
}

#[test]
fn what_a_route_says_of_the_content_decides_before_it_is_compressed() {
    let server = edited(|it| {
        it.set(b"Cache-Control", b"no-transform").expect("good");
    });
    let (head, _) = ask(&server, "gzip", false);
    assert!(!head.contains("Content-Encoding"), "{head}");
    assert!(head.contains("Cache-Control: no-transform\r\n"), "{head}");
    let server = edited(|it| {
        it.set(b"Content-Type", b"image/png").expect("good");
    });
    let (head, _) = ask(&server, "gzip", false);
    assert!(!head.contains("Content-Encoding"), "{head}");
}

#[test]
fn what_a_route_sets_is_changed_as_what_the_application_gave() {
    let server = edited(|it| {
        it.set(b"ETag", b"\"b\"").expect("good");
        it.set(b"Vary", b"Cookie").expect("good");
        it.remove(b"Server").expect("good");
        it.remove(b"X-Request-ID").expect("good");
    });
    let (head, content) = ask(&server, "gzip", false);
    assert_eq!(content, b"cherry ".repeat(1000));
    for line in [
        "ETag: W/\"b\"",
        "Vary: Cookie",
        "Vary: Accept-Encoding",
        "Content-Encoding: gzip",
    ] {
        assert_eq!(
            head.matches(&format!("\r\n{line}\r\n")).count(),
            1,
            "{head}"
        );
    }
    assert!(!head.contains("Server:"), "{head}");
    assert!(!head.contains("X-Request-ID:"), "{head}");
}
