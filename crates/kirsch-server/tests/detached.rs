//! Exchanges in the hands of tasks: here of an executor that is one thread for each, since any will do.

mod support;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use kirsch_server::{Body, Detached, Exchange, Gateway, Gone, Lane, Request};
use support::{PATIENCE, TestServer, get, ok, pattern, post};

/// Gives each exchange to a thread of its own, detached.
struct Tasks<F>(Arc<F>);

impl<F: Fn(Detached) + Send + Sync + 'static> Gateway for Tasks<F> {
    fn handle(&self, exchange: Exchange) {
        let (task, exchange) = (Arc::clone(&self.0), exchange.detach());
        thread::spawn(move || task(exchange));
    }

    fn lane(&self) -> Lane {
        Lane::Inline
    }

    fn streams_body(&self, _request: &Request) -> bool {
        true
    }
}

fn serve(task: impl Fn(Detached) + Send + Sync + 'static) -> TestServer {
    TestServer::serve(|config| config.threads = 1, Arc::new(Tasks(Arc::new(task))))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread. Answers `None` if nothing wakes it in time.
fn block_on<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = deadline.checked_duration_since(std::time::Instant::now())?;
        thread::park_timeout(left);
    }
}

/// Sends the body back while it arrives.
async fn echo(mut exchange: Detached) -> Result<(), Gone> {
    let mut body = exchange.request_mut().take_body();
    exchange.begin(ok(), None);
    exchange.send_head()?;
    while let Body::Stream(stream) = &mut body {
        let bytes = poll_fn(|task| stream.poll_take(task)).await;
        let Ok(bytes) = bytes else {
            exchange.abort();
            return Ok(());
        };
        if bytes.is_empty() {
            break;
        }
        poll_fn(|task| exchange.poll_room(task)).await?;
        exchange.block(bytes)?;
    }
    exchange.finish();
    Ok(())
}

#[test]
fn bodies_go_both_ways_through_a_server_with_one_thread() {
    let server = serve(|exchange| assert_eq!(block_on(echo(exchange)), Some(Ok(()))));
    let body = pattern(9_000_000);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = server.connect();
                let mut writer = client.wire.try_clone().expect("a socket");
                let request = post("/", &body);
                let sender =
                    scope.spawn(move || std::io::Write::write_all(&mut writer, &request).is_ok());
                let response = client.response();
                assert!(response.body == body);
                assert!(sender.join().expect("no panic"));
                // When the head left, nobody could know that the rest of the body would be read.
                assert!(response.closes());
            });
        }
    });
}

#[test]
fn a_task_is_woken_when_its_client_leaves() {
    let (sender, heard) = channel();
    let sender = Mutex::new(sender);
    let server = serve(move |mut exchange| {
        let told: Sender<Option<Gone>> = sender.lock().expect("no panic").clone();
        if exchange.request().target() == b"/streams" {
            exchange.begin(ok(), None);
            exchange.block(pattern(100)).expect("it is there");
        }
        told.send(None).expect("the test listens");
        let gone = block_on(poll_fn(|task| exchange.poll_gone(task)));
        told.send(gone).expect("the test listens");
        assert!(!matches!(
            exchange.poll_room(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(Ok(()))
        ));
    });
    for path in ["/thinks", "/streams"] {
        let mut client = server.connect();
        client.send(get(path));
        assert_eq!(heard.recv_timeout(PATIENCE), Ok(None));
        client.reset();
        assert_eq!(heard.recv_timeout(PATIENCE * 2), Ok(Some(Gone)), "{path}");
    }
    server.until("closed", |now| now.connections == 0);
}

#[test]
fn what_is_not_finished_is_a_500_until_its_head_is_sent() {
    let server = serve(|mut exchange| match exchange.request().target() {
        b"/dropped" => drop(exchange),
        b"/aborted" => {
            exchange.begin(ok(), None);
            exchange.abort();
        }
        b"/panicked" => exchange.abort_after_panic(),
        _ => {
            exchange.begin(ok(), None);
            exchange.send_head().expect("it is there");
            exchange.send_head().expect("once is enough");
            exchange.abort();
        }
    });
    for path in ["/dropped", "/aborted", "/panicked"] {
        let response = server.connect().get(path);
        assert_eq!((response.status, response.closes()), (500, true), "{path}");
    }
    let (begun, _) = server.connect().send(get("/begun")).rest();
    assert!(begun.starts_with(b"HTTP/1.1 200 OK\r\n") && begun.ends_with(b"\r\n\r\n"));
    assert_eq!(server.server.statistics().panics, 1);
}

#[test]
fn a_connection_ends_after_so_many_requests() {
    let server = TestServer::serve(
        |config| config.keepalive_requests = Some(3),
        Arc::new(Tasks(Arc::new(|exchange| {
            assert_eq!(block_on(echo(exchange)), Some(Ok(())));
        }))),
    );
    let mut client = server.connect();
    client.send(get("/").repeat(4));
    let closing: Vec<bool> = (0..3).map(|_| client.response().closes()).collect();
    assert_eq!(closing, [false, false, true]);
    client.assert_closed();
}
