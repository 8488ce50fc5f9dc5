//! Whatever good requests are sent in whatever pieces, and however they are answered and read: every
//! byte of every answer is right, and in order.

mod support;

use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::thread;

use kirsch_server::Exchange;
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Bodies, Client, Response, TestServer, ok, pattern, read_all};

/// How a request is sent.
#[derive(Clone, Debug)]
enum Sent {
    Get,
    Head,
    Length(usize),
    Chunks(Vec<usize>),
}

/// How it is answered: the name of this is the path.
#[derive(Clone, Copy, Debug)]
enum Answered {
    Respond,
    Blocks,
    Shared,
    File,
}

#[derive(Clone, Debug)]
struct Case {
    requests: Vec<(Sent, Answered, usize)>,
    sends: Vec<usize>,
    reads: Vec<usize>,
    /// Which of the servers.
    server: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let size = || prop_oneof![4 => 0..300_usize, 2 => 0..20_000_usize, 1 => 0..300_000_usize];
    let sent = prop_oneof![
        Just(Sent::Get),
        Just(Sent::Head),
        size().prop_map(Sent::Length),
        vec(1..9000_usize, 0..5).prop_map(Sent::Chunks),
    ];
    let answered = prop_oneof![
        Just(Answered::Respond),
        Just(Answered::Blocks),
        Just(Answered::Shared),
        Just(Answered::File),
    ];
    let pieces = || {
        vec(
            prop_oneof![1..20_usize, 1..5000_usize, 1..100_000_usize],
            1..8,
        )
    };
    (
        vec((sent, answered, size()), 1..12),
        pieces(),
        pieces(),
        0..SERVERS.len(),
    )
        .prop_map(|(requests, sends, reads, server)| Case {
            requests,
            sends,
            reads,
            server,
        })
}

fn body_of(sent: &Sent) -> Vec<u8> {
    match sent {
        Sent::Get | Sent::Head => Vec::new(),
        Sent::Length(len) => pattern(*len),
        Sent::Chunks(sizes) => pattern(sizes.iter().sum()),
    }
}

fn bytes_of(sent: &Sent, answered: Answered, extra: usize) -> Vec<u8> {
    let (method, framing) = match sent {
        Sent::Get => ("GET", String::new()),
        Sent::Head => ("HEAD", String::new()),
        Sent::Length(len) => ("POST", format!("Content-Length: {len}\r\n")),
        Sent::Chunks(_) => ("PUT", "Transfer-Encoding: chunked\r\n".to_owned()),
    };
    let mut bytes =
        format!("{method} /{answered:?}/{extra} HTTP/1.1\r\nHost: t\r\n{framing}\r\n").into_bytes();
    let body = body_of(sent);
    let Sent::Chunks(sizes) = sent else {
        bytes.extend(body);
        return bytes;
    };
    let mut rest = &body[..];
    for size in sizes {
        bytes.extend(format!("{size:x}\r\n").into_bytes());
        bytes.extend_from_slice(&rest[..*size]);
        bytes.extend_from_slice(b"\r\n");
        rest = &rest[*size..];
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Answers with the target, the body, and so many more bytes, in the way that the target names.
fn answer(mut exchange: Exchange) {
    let target = String::from_utf8(exchange.request().target().to_vec()).expect("ASCII");
    let (way, extra) = target[1..].split_once('/').expect("two parts");
    let body = read_all(&mut exchange.request_mut().take_body()).expect("a whole body");
    let extra = pattern(extra.parse().expect("a number"));
    let content = [target.as_bytes(), &body, &extra].concat();
    match way {
        "Respond" => return exchange.respond(ok(), &content),
        "Blocks" => {
            exchange.begin(ok(), None);
            for block in content.chunks(3000) {
                exchange.put(block).expect("the client stays");
            }
        }
        "Shared" => {
            exchange.begin(ok(), None);
            exchange
                .shared_block(Box::new(content))
                .expect("the client stays");
        }
        _ => {
            let len = content.len() as u64;
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(&content).expect("a disk");
            exchange.begin(ok(), Some(len));
            exchange
                .file(&Arc::new(file), 0, len)
                .expect("the client stays");
        }
    }
    exchange.finish();
}

/// With one reactor and with two.
static SERVERS: LazyLock<[TestServer; 4]> = LazyLock::new(|| {
    [
        (1, Bodies::Buffered),
        (1, Bodies::Streamed),
        (2, Bodies::Buffered),
        (2, Bodies::Streamed),
    ]
    .map(|(reactors, bodies)| {
        TestServer::start(
            |config| {
                config.reactors = reactors;
                config.limits.body_memory_bytes = 10_000;
                config.limits.response_memory_bytes = 10_000;
                config.limits.response_buffer_bytes = 100_000;
            },
            bodies,
            answer,
        )
    })
});

/// Reads at most so many bytes at a time.
struct Sipping {
    wire: std::net::TcpStream,
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl std::io::Read for Sipping {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = self.sizes.next().unwrap_or(1).min(buf.len());
        self.wire.read(&mut buf[..len])
    }
}

impl Write for Sipping {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.wire.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.wire.flush()
    }
}

fn converse(case: &Case) -> Vec<Response> {
    let client = SERVERS[case.server].connect();
    let mut sender = client.wire.try_clone().expect("a descriptor");
    let bytes: Vec<u8> = case
        .requests
        .iter()
        .flat_map(|(sent, answered, extra)| bytes_of(sent, *answered, *extra))
        .collect();
    let mut receiver = Client::over(Sipping {
        wire: client.wire,
        sizes: case.reads.clone().into_iter().cycle(),
    });
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut rest = &bytes[..];
            for size in case.sends.iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(*size));
                sender.write_all(now).expect("the server reads");
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        });
        let receive = |(sent, ..): &(Sent, Answered, usize)| match sent {
            Sent::Head => receiver.response_to_head(),
            Sent::Get | Sent::Length(_) | Sent::Chunks(_) => receiver.response(),
        };
        case.requests.iter().map(receive).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_of_every_answer_is_right(case in cases()) {
        let responses = converse(&case);
        for ((sent, answered, extra), response) in case.requests.iter().zip(&responses) {
            let target = format!("/{answered:?}/{extra}");
            let expected = match sent {
                Sent::Head => Vec::new(),
                _ => [target.as_bytes(), &body_of(sent), &pattern(*extra)].concat(),
            };
            prop_assert!(response.status == 200 && response.body == expected, "{target}: {response:?}");
        }
    }
}
