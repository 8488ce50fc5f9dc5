//! The web server: sockets, reactor, thread pool, connections, gateways. It knows no Python.
//!
//! # The journey of a request
//!
//! 1. [`listener`] accepts a socket.
//! 2. [`reactor`] owns the waiting [`connection`] and its deadline ([`wheel`]).
//! 3. Bytes arrive; [`connection`] reads them through its [`stream`], after a handshake where it is one of TLS ([`secure`]),
//! 4. and gives them to `kirsch-http`, which finds requests in them, of clients for whom a proxy may speak ([`forwarded`]),
//! 5. or a broken rule, which decides status and fate.
//! 6. The [`gateway`] says on which terms it takes the request; if it is a [`router`], for which application.
//! 7. [`gather`] buffers the body: memory, then a file within the [`budget`], at the client's [`pace`].
//! 8. The connection answers "dispatch", and leaves the reactor by value.
//! 9. [`kirsch_pool`] says which thread runs it: usually the one that just drove the reactor.
//! 10. That thread makes an [`exchange`] and calls the [`gateway`],
//! 11. which answers; what is set to be is compressed ([`compression`]); bytes go to the socket, now or together with
//!     the end ([`shelf`]), or through the [`outlet`] if the client is slow ([`transmit`]).
//! 12. [`access_log`] hears how it ended.
//! 13. The connection returns to the reactor and waits for the next request, or closes.

#![forbid(unsafe_code)]

mod access_log;
mod application;
mod bind_error;
mod body;
mod budget;
mod cheroot;
mod compression;
pub mod config;
mod connection;
mod cork;
mod date;
mod drained;
mod exchange;
mod forecast;
mod forwarded;
mod gateway;
mod gather;
mod holds;
mod https_only;
mod intake;
mod listener;
mod network;
mod outlet;
mod pace;
mod path_trouble;
mod port_owner;
mod reactor;
mod reason;
mod renewal;
mod request;
mod room;
mod router;
mod secure;
mod seldom;
mod server;
mod shared;
mod shelf;
mod sigpipe;
mod socket;
mod stream;
mod thread_cap;
mod transmit;
mod wheel;

pub use access_log::{AccessLogError, FormatError, LineFormat};
pub use application::Application;
pub use bind_error::BindError;
pub use body::{Body, FileBody, MemoryBody, StreamBody};
pub use cheroot::Cheroot;
pub use compression::{CodingError, Compression, ContentCoding, MediaRange, NoMediaRange};
pub use config::{AccessLog, AccessLogFormat, Bind, Config, Limits, Timeouts, Tls};
pub use exchange::{Block, Detached, Exchange, Finished};
pub use forwarded::{ProxyFields, Scheme, TrustedPeer};
pub use gateway::{Answer, Gateway, Terms};
pub use kirsch_http::{
    BodyLength, ErrorAnswer, FieldEdits, FieldName, Head, Method, ResponseError, ResponseHead,
    Status, TargetForm, Version, decode_path,
};
pub use kirsch_pool::{Doing, Interpreter, Lane, NoInterpreter, PoolCounters, ThreadId};
pub use kirsch_tls::{
    Clients, MinimumVersion, PairFiles, Password, TlsConfig, TlsError, Trouble, Trust, UnknownName,
    Variables, Warning as TlsWarning, suites::Suite as CipherSuite,
    suites::by_name as cipher_suite,
};
pub use listener::BoundAddress;
pub use network::{Network, NetworkError};
pub use outlet::Gone;
pub use port_owner::{PortOwner, port_owner};
pub use reason::reason;
pub use renewal::TlsNews;
pub use request::{LocalName, Origin, Request, RequestId, Secured};
pub use router::{
    Action, Condition, FixedAnswer, HostPattern, InternalRoutes, PathPrefix, Redirect, Route,
    RouteError, Router, RouterError, RouterOptions, Serve, Shadowed, UnknownHost, unreachable,
};
pub use server::{Server, StartError, Statistics, no_thread};
