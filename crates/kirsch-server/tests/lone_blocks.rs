//! Responses whose first block waits for their end: sent together where the end comes, and never late where
//! it does not, whatever else happens.

mod support;

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};

use kirsch_server::{AccessLog, AccessLogFormat, Config, Exchange};
use support::{Bodies, Client, End, PATIENCE, TestServer, get, ok};

/// What the client gets behind the head of a page that ends behind its first block.
const WHOLE: &[u8] = b"4\r\npage\r\n0\r\n\r\n";
/// The first block of such a page.
const BLOCK: &[u8] = b"4\r\npage\r\n";

/// A server whose pages come as a block and its end, as those of a WSGI iterator. All are of one kind; the query
/// says what happens behind the block.
struct Pages {
    running: TestServer,
    /// The gateway has given the first block and waits.
    inside: Receiver<()>,
    /// What it waits for.
    word: Sender<()>,
}

fn pages(change: impl FnOnce(&mut Config)) -> Pages {
    let (came, inside) = channel();
    let (word, go) = channel();
    let (came, go) = (Mutex::new(came), Mutex::new(go));
    let handle = move |mut exchange: Exchange| {
        let target = String::from_utf8_lossy(exchange.request().target()).into_owned();
        let (_, then) = target.split_once('?').unwrap_or((&target, ""));
        exchange.begin(ok(), None);
        if exchange.put(b"page").is_err() {
            return;
        }
        if then.contains("wait") {
            // Without anybody who listens, or a word, the test is over. It has no deadline, which would help a late block.
            let _ = came.lock().expect("no panic").send(());
            let _ = go.lock().expect("no panic").recv();
        }
        if then.contains("more") {
            let _ = exchange.put(b"more");
        }
        if then.contains("large") {
            let _ = exchange.put(&vec![b'x'; 1 << 20]);
        }
        if then.contains("detach") {
            let mut task = exchange.detach();
            let room = task.poll_room(&mut Context::from_waker(Waker::noop()));
            if matches!(room, Poll::Ready(Ok(()))) {
                let _ = task.block(b"more");
            }
            task.finish();
            return;
        }
        if then.contains("abort") {
            return exchange.abort();
        }
        if then.contains("panic") {
            std::panic::resume_unwind(Box::new("as the test wants"));
        }
        exchange.finish();
    };
    Pages {
        running: TestServer::start(change, Bodies::Buffered, handle),
        inside,
        word,
    }
}

fn threads(count: usize) -> impl FnOnce(&mut Config) {
    move |config| config.threads = count
}

impl Pages {
    fn joined(&self) -> u64 {
        self.running.server.statistics().joined
    }

    /// Asks for pages that end until they are expected to. Another thread may have been there in between.
    fn teach(&self) {
        let mut client = self.running.connect();
        for _ in 0..10_000 {
            let before = self.joined();
            read_whole(client.send(get("/page")));
            // It is counted before it is sent.
            if self.joined() > before {
                return;
            }
        }
        panic!("never expected: {:?}", self.running.server.statistics());
    }

    fn ask(&self, then: &str) -> Client {
        let mut client = self.running.connect();
        client.send(get(&format!("/page?{then}")));
        client
    }
}

fn read_head(client: &mut Client) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.exactly(1));
    }
    String::from_utf8(head).expect("ASCII")
}

fn read_whole(client: &mut Client) {
    assert!(read_head(client).contains("Transfer-Encoding: chunked\r\n"));
    assert_eq!(client.exactly(WHOLE.len()), WHOLE);
}

#[test]
fn a_lone_block_and_its_end_are_sent_together() {
    let pages = pages(threads(1));
    pages.teach();
    let mut client = pages.running.connect();
    let before = pages.joined();
    for _ in 0..10_000 {
        read_whole(client.send(get("/page")));
        if pages.joined() > before + 100 {
            return;
        }
    }
    panic!("{:?}", pages.running.server.statistics());
}

#[test]
fn a_block_that_waits_goes_before_what_a_task_gives() {
    for count in [1, 2] {
        let pages = pages(threads(count));
        for _ in 0..50 {
            pages.teach();
            let mut client = pages.ask("detach");
            read_head(&mut client);
            let whole = b"4\r\npage\r\n4\r\nmore\r\n0\r\n\r\n";
            assert_eq!(client.exactly(whole.len()), whole);
        }
    }
}

#[test]
fn a_block_is_at_the_client_while_the_application_goes_on() {
    for count in [1, 2, 8] {
        let pages = pages(threads(count));
        for then in ["wait", "wait&more", "wait&large", "wait&more"] {
            pages.teach();
            let mut client = pages.ask(then);
            pages.inside.recv_timeout(PATIENCE).expect("it is run");
            read_head(&mut client);
            // The gateway still waits.
            assert_eq!(client.exactly(BLOCK.len()), BLOCK);
            pages.word.send(()).expect("the gateway listens");
            if then.contains("more") {
                assert_eq!(client.exactly(BLOCK.len()), b"4\r\nmore\r\n");
            }
            if then.contains("large") {
                assert_eq!(client.exactly(8), b"100000\r\n");
                assert!(client.exactly(1 << 20).iter().all(|byte| *byte == b'x'));
                assert_eq!(client.exactly(2), b"\r\n");
            }
            assert_eq!(client.exactly(5), b"0\r\n\r\n");
            read_whole(client.send(get("/page")));
        }
    }
}

#[test]
fn a_block_is_at_the_client_though_every_thread_is_blocked() {
    let pages = pages(threads(4));
    pages.teach();
    let mut clients: Vec<Client> = (0..4).map(|_| pages.ask("wait")).collect();
    for _ in 0..4 {
        pages.inside.recv_timeout(PATIENCE).expect("all are run");
    }
    for client in &mut clients {
        read_head(client);
        assert_eq!(client.exactly(BLOCK.len()), BLOCK);
    }
    for client in &mut clients {
        pages.word.send(()).expect("the gateway listens");
        let _ = client;
    }
    for client in &mut clients {
        assert_eq!(client.exactly(5), b"0\r\n\r\n");
    }
}

#[test]
fn what_follows_a_block_follows_it_in_order() {
    let pages = pages(threads(2));
    for then in ["more", "large", "more&large"] {
        pages.teach();
        let mut client = pages.ask(then);
        let body = client.response().body;
        let mut expected = b"page".to_vec();
        if then.contains("more") {
            expected.extend(b"more");
        }
        if then.contains("large") {
            expected.resize(expected.len() + (1 << 20), b'x');
        }
        assert!(body == expected, "{then}: {} bytes", body.len());
    }
}

#[test]
fn a_response_that_breaks_has_its_block_and_no_last_chunk() {
    let pages = pages(threads(2));
    for then in ["abort", "panic", "wait&abort", "wait&panic"] {
        pages.teach();
        let mut client = pages.ask(then);
        if then.contains("wait") {
            pages.inside.recv_timeout(PATIENCE).expect("it is run");
            read_head(&mut client);
            assert_eq!(client.exactly(BLOCK.len()), BLOCK);
            pages.word.send(()).expect("the gateway listens");
            assert_eq!(client.rest(), (Vec::new(), End::Clean), "{then}");
        } else {
            read_head(&mut client);
            assert_eq!(client.rest(), (BLOCK.to_vec(), End::Clean), "{then}");
        }
    }
}

#[test]
fn pipelined_pages_come_in_order_and_whole() {
    let pages = pages(threads(2));
    pages.teach();
    let mut client = pages.running.connect();
    client.send([get("/page"), get("/page?more"), get("/page")].concat());
    read_whole(&mut client);
    read_head(&mut client);
    assert_eq!(client.exactly(23), b"4\r\npage\r\n4\r\nmore\r\n0\r\n\r\n");
    read_whole(&mut client);
}

#[test]
fn pages_of_other_framings_are_as_they_were() {
    let pages = pages(threads(1));
    pages.teach();
    let mut client = pages.running.connect();
    client.send("HEAD /page HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.response_to_head().body, b"");
    read_whole(client.send(get("/page")));
    client.send("GET /page HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert!(read_head(&mut client).contains("Connection: close\r\n"));
    assert_eq!(client.rest(), (WHOLE.to_vec(), End::Clean));
    let mut client = pages.running.connect();
    client.send("GET /page HTTP/1.0\r\n\r\n");
    read_head(&mut client);
    assert_eq!(client.rest(), (b"page".to_vec(), End::Clean));
}

#[test]
fn a_client_that_leaves_meanwhile_costs_nobody_anything() {
    let pages = pages(threads(1));
    for then in ["wait", "wait&more", "wait&large"] {
        pages.teach();
        let client = pages.ask(then);
        pages.inside.recv_timeout(PATIENCE).expect("it is run");
        client.reset();
        pages.word.send(()).expect("the gateway listens");
    }
    pages.teach();
    pages
        .running
        .until("all have left", |statistics| statistics.connections == 0);
    assert_eq!(pages.running.server.statistics().panics, 0);
}

#[test]
fn a_server_that_drains_ends_what_lies_there() {
    let pages = pages(threads(1));
    pages.teach();
    let mut client = pages.ask("wait");
    pages.inside.recv_timeout(PATIENCE).expect("it is run");
    read_head(&mut client);
    std::thread::scope(|scope| {
        scope.spawn(|| pages.running.server.stop());
        assert_eq!(client.exactly(BLOCK.len()), BLOCK);
        pages.word.send(()).expect("the gateway listens");
        assert_eq!(client.rest(), (b"0\r\n\r\n".to_vec(), End::Clean));
    });
}

#[test]
fn the_access_log_counts_content_whoever_has_sent_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let pages = pages(|config| {
        config.threads = 1;
        config.access_log = Some(AccessLog {
            format: AccessLogFormat::Custom("%r %s %B %X".to_owned()),
            file: Some(path.clone()),
        });
    });
    for then in ["", "wait", "more", "wait&more", "abort", "wait&abort"] {
        pages.teach();
        let mut client = pages.ask(then);
        if then.contains("wait") {
            pages.inside.recv_timeout(PATIENCE).expect("it is run");
            read_head(&mut client);
            assert_eq!(client.exactly(BLOCK.len()), BLOCK);
            pages.word.send(()).expect("the gateway listens");
        }
        client.shut();
        client.rest();
    }
    pages.running.server.stop();
    drop(pages);
    let log = fs::read_to_string(path).expect("a log");
    let found: Vec<&str> = log
        .lines()
        .filter_map(|line| line.strip_prefix("GET /page?"))
        .collect();
    let expected = [
        " HTTP/1.1 200 4 +",
        "wait HTTP/1.1 200 4 +",
        "more HTTP/1.1 200 8 +",
        "wait&more HTTP/1.1 200 8 +",
        "abort HTTP/1.1 200 4 X",
        "wait&abort HTTP/1.1 200 4 X",
    ];
    assert_eq!(found, expected, "{log}");
    assert!(
        log.lines()
            .filter(|line| line.starts_with("GET /page HTTP"))
            .all(|line| line == "GET /page HTTP/1.1 200 4 +")
    );
}
