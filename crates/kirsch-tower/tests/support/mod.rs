//! What the tests of the gateway share: the server's own test client, and services that tell what became of them.

#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

#[path = "../../../kirsch-server/tests/support/mod.rs"]
mod server;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, stream};
use kirsch_server::{Config, Gateway};
use kirsch_tower::TowerGateway;

pub use server::{Client, End, PATIENCE, TestServer, get, pattern, post};

/// Serves with one thread of the pool: no service may keep it.
pub fn serve<S>(service: S) -> TestServer
where
    TowerGateway<S>: Gateway,
{
    serve_with(|_| {}, service)
}

pub fn serve_with<S>(change: impl FnOnce(&mut Config), service: S) -> TestServer
where
    TowerGateway<S>: Gateway,
{
    let gateway = TowerGateway::new(service).expect("a runtime");
    TestServer::serve(
        |config| {
            config.threads = 1;
            change(config);
        },
        Arc::new(gateway),
    )
}

/// Makes a [`Guard`] for each request.
#[derive(Clone)]
pub struct Guards(Sender<()>);

/// Tells when it is dropped.
pub struct Guard(Sender<()>);

/// Hears when a [`Guard`] is dropped.
pub struct Fate(Receiver<()>);

pub fn guards() -> (Guards, Fate) {
    let (sender, receiver) = channel();
    (Guards(sender), Fate(receiver))
}

impl Guards {
    pub fn guard(&self) -> Guard {
        Guard(self.0.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

impl Fate {
    pub fn await_drop(&self) {
        self.0
            .recv_timeout(PATIENCE)
            .expect("it was dropped with its request");
    }

    /// Whether none was dropped since the last was waited for.
    pub fn is_alive(&self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// The body of a response, from blocks.
pub fn streamed(blocks: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    use futures_util::StreamExt;
    Body::from_stream(blocks.map(Ok::<_, Infallible>))
}

/// Blocks that never end to come.
pub fn endless(mut block: impl FnMut() -> Bytes + Send + 'static) -> Body {
    streamed(stream::poll_fn(move |_| {
        std::task::Poll::Ready(Some(block()))
    }))
}

impl Client {
    /// Reads a head and nothing behind it.
    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.exactly(1));
        }
        String::from_utf8(head).expect("a head is ASCII")
    }
}
