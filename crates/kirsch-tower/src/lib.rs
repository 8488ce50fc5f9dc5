//! A gateway for any [`tower::Service`](tower_service::Service) of `http`'s requests and responses, such as an
//! application of axum.
//!
//! The server reads, frames and sends, as for every gateway; the service runs on a runtime of tokio's that exists only
//! where there is such a gateway. No thread of the server's pool waits for a service, so a server with two threads has
//! as many requests in its services at once as it has connections.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use axum::Router;
//! use axum::routing::get;
//! use kirsch_server::{Bind, Config, Server};
//! use kirsch_tower::TowerGateway;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let application = Router::new().route("/", get(|| async { "hello" }));
//! let config = Config {
//!     binds: vec![Bind::Tcp(([127, 0, 0, 1], 8000).into())],
//!     ..Config::default()
//! };
//! let server = Server::bind(config, Arc::new(TowerGateway::new(application)?))?;
//! server.start()?;
//! server.join();
//! # Ok(())
//! # }
//! ```
//!
//! # The journey of a request
//!
//! 1. [`TowerGateway::handle`](kirsch_server::Gateway::handle) is called by whoever drives the reactor. It clones the
//!    service, detaches the exchange and spawns a task on the [`Runtime`].
//! 2. `request` makes an [`http::Request`] of the exchange's, with a [`RequestBody`] and [extensions](RequestId).
//! 3. `conversation` waits until the service is ready and calls it.
//! 4. `response_head` translates the head of its response,
//! 5. and `conversation` gives the body block by block, as fast as the client takes it.
//!
//! # States
//!
//! A conversation is a task that owns its exchange. It waits for exactly one thing at a time, and each wait but that
//! for room ends also when nobody will receive the response any more:
//!
//! ```text
//! ready ──▶ response ──▶ room ──▶ frame ──┬──▶ finished
//!   │          │          ▲         │     │
//!   │          │          └─────────┘     │
//!   └──────────┴── gone, error, panic ────┴──▶ dropped, with all that the service had made
//! ```
//!
//! # Invariants
//!
//! 1. *Nothing waits.* Neither `handle` nor a task blocks its thread: sockets are the reactor's, files are read on
//!    tokio's threads for blocking work.
//! 2. *Bounded.* Of a response no more than `limit-response-memory` and one block wait for the client; of a request
//!    what [`RequestBody`] says.
//! 3. *One end.* The exchange ends once, whatever the service does: a future that is dropped or panics drops it.
//! 4. *The runtime ends last.* It outlives every gateway on it, and with the last of them it ends.

#![forbid(unsafe_code)]

mod conversation;
mod gateway;
mod request;
mod request_body;
mod response_head;
mod runtime;

pub use gateway::TowerGateway;
pub use request::{ClientAddress, Mount, PeerAddress, RequestId};
pub use request_body::RequestBody;
pub use runtime::Runtime;

/// An error of the service's or its body's, which is logged.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
