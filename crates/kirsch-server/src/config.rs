//! The configuration as used: validated values with their defaults and the reasons for them.
//!
//! This file owns the meaning, the unit and the default of everything that can be set.
//! It does not know flags, environment variables or files: `kirsch-config` makes a `Config` of those.
//! Read next: `server.rs`, which takes a `Config` and serves.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kirsch_http::Dialect;
use kirsch_tls::TlsConfig;

use crate::cheroot::Cheroot;
use crate::compression::Compression;
use crate::forwarded::{ProxyFields, TrustedPeer};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Everything a [`Server`](crate::Server) can be told, with a default for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen; at least one. Default: 127.0.0.1:8000, reachable from this machine only.
    pub binds: Vec<Bind>,
    /// Permission bits of the unix sockets among `binds`. Default 0o666: who may connect is decided by the folder.
    pub unix_socket_mode: u32,
    /// Length of the kernel's queue of connections not yet accepted. Default 1024.
    pub backlog: u32,
    /// Threads that run applications. Default 10, as cheroot's: enough for applications that wait for a database.
    pub threads: usize,
    /// Reactors among which connections and threads are dealt; each has at least one thread, even if `threads` is
    /// less. Default 1. More are for gateways that need no interpreter ([`Lane::Interpreter`](crate::Lane::Interpreter)
    /// is refused) and fill more than one processor with reading, parsing and sending.
    pub reactors: usize,
    /// Requests served on one connection before it is closed; `None` for no bound, the default.
    pub keepalive_requests: Option<u64>,
    /// Whether applications read request bodies while they arrive, instead of after they were buffered. Default no.
    pub stream_request_body: bool,
    /// What the binds that speak TLS need; `None`, the default, where there are none.
    pub tls: Option<Tls>,
    /// Sizes and counts that bound what one peer, and all together, may use.
    pub limits: Limits,
    /// Durations after which waiting ends.
    pub timeouts: Timeouts,
    /// Folder of the unlinked files that hold large bodies; `None` takes the system's temporary folder.
    pub spool_dir: Option<PathBuf>,
    /// Proxies whose word is taken for who the client is and what it asked for. Default: nobody's, not even that of
    /// this machine, since whatever runs here could be a proxy for anybody.
    pub trust_proxy: Vec<TrustedPeer>,
    /// Which fields these proxies write. Default: either family, as long as they agree.
    pub proxy_fields: ProxyFields,
    /// Which responses are compressed. Default: none.
    pub compression: Compression,
    /// The access log; off by default, because it costs a write per request.
    pub access_log: Option<AccessLog>,
    /// Whether responses carry the request's id as `X-Request-ID`. Default yes: a user can quote it, and the log finds it.
    pub request_id: bool,
    /// Value of the `Server` field of responses; `None` leaves it out. Default `kirsch`.
    pub server_name: Option<String>,
    /// Set where the program was written for cheroot: then the requests of [`Dialect::Cheroot`] are taken, and
    /// what stands there takes the place of `timeouts.handshake`, `head`, `body` and `keepalive`, and of `limits.head_bytes`.
    pub cheroot: Option<Arc<Cheroot>>,
}

impl Config {
    /// By which rules requests are read.
    pub(crate) fn dialect(&self) -> Dialect {
        self.cheroot
            .as_ref()
            .map_or(Dialect::Strict, |cheroot| cheroot.dialect())
    }

    /// The timeout of heads, bodies or idle connections.
    pub(crate) fn timeout(&self, which: impl Fn(&Timeouts) -> Duration) -> Duration {
        match &self.cheroot {
            None => which(&self.timeouts),
            Some(cheroot) => cheroot.timeout(),
        }
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// A TCP address; port 0 takes a free one. `[::]` listens dual stack.
    Tcp(SocketAddr),
    /// The same, over TLS.
    Tls(SocketAddr),
    /// A unix socket at a path. A stale socket there is replaced, any other file never touched.
    Unix(PathBuf),
    /// A name in Linux's abstract namespace of unix sockets, without the leading NUL.
    Abstract(Vec<u8>),
    /// A listening socket inherited as this descriptor.
    Descriptor(RawFd),
    /// The same, over TLS if it is a socket of TCP.
    TlsDescriptor(RawFd),
}

impl Bind {
    /// Whether clients are to speak TLS there.
    pub fn is_tls(&self) -> bool {
        match self {
            Bind::Tls(_) | Bind::TlsDescriptor(_) => true,
            Bind::Tcp(_) | Bind::Unix(_) | Bind::Abstract(_) | Bind::Descriptor(_) => false,
        }
    }
}

/// TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    /// Certificates, versions, and whether clients bring certificates.
    pub certificates: TlsConfig,
    /// Whether requests that come over plain HTTP are sent to https: to the port of the first bind that speaks it.
    /// Default no.
    pub redirect: bool,
    /// For how long browsers are told to use nothing but https for a host (`Strict-Transport-Security`, RFC 6797);
    /// `None`, the default, tells them nothing. It takes the place of what applications say.
    pub hsts: Option<Duration>,
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp(addr) => addr.fmt(f),
            Bind::Tls(addr) => write!(f, "https://{addr}"),
            Bind::Unix(path) => write!(f, "unix:{}", path.display()),
            Bind::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
            Bind::Descriptor(number) | Bind::TlsDescriptor(number) => write!(f, "fd://{number}"),
        }
    }
}

/// Sizes and counts. Precedents stand beside each default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head; beyond: 431. Default 32 KiB (tomcat 8 KiB, IIS and h11 16 KiB, node 16 KiB).
    pub head_bytes: u32,
    /// Fields of a request's head; beyond: 431. Default 100 (Apache, gunicorn, hyper).
    pub head_fields: u32,
    /// Bytes of a request target; beyond: 414. Default 16 KiB (gunicorn's line 4 KiB, Apache's 8 KiB, hyper 64 KiB).
    pub target_bytes: u32,
    /// Bytes of a request body; beyond: 413. Default 1 GiB, as waitress.
    pub body_bytes: u64,
    /// Bytes of a request body kept in memory; what is longer goes to a spool file. Default 1 MiB: forms and
    /// photographs never touch the disk (waitress 512 KiB, nginx 16 KiB).
    pub body_memory_bytes: u64,
    /// Bytes of a response that may wait for its client before the application has to. Default 16 MiB, as waitress.
    /// Blocks given by reference ([`Exchange::shared_block`](crate::Exchange::shared_block)) are taken all the same.
    pub response_buffer_bytes: u64,
    /// Bytes of a response that wait in memory; what is longer goes to a spool file. Default 256 KiB.
    pub response_memory_bytes: u64,
    /// Bytes of all buffers in memory together. Default 256 MiB; beyond, bodies go to files at once.
    pub buffer_memory_bytes: u64,
    /// Bytes of all spool files together, and never more than half of the free space. Default 4 GiB; beyond, a
    /// request whose body needs one is answered with 503, and a response that needs one is aborted.
    pub spool_bytes: u64,
    /// Open connections; beyond, the longest idle one makes room (of several reactors, that of the one whose turn
    /// it is). Default 10,000. Fewer if the process may not open three descriptors for every two, and some for the rest.
    pub connections: usize,
    /// Requests that wait for a thread; beyond: 503. Of several reactors each has its share. As many may wait for the
    /// threads of each application that may have only some ([`Application::with_threads`](crate::Application::with_threads)).
    /// Default 1024.
    pub queue_jobs: usize,
}

/// Durations. A timeout runs out only for the peer it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From a connection's accept to the end of its TLS handshake; then it is closed. Default 10 s, as cheroot.
    pub handshake: Duration,
    /// From a request's first byte to the end of its head; then 408. Default 15 s. A new connection may be silent
    /// for so long, and closes without an answer.
    pub head: Duration,
    /// Without a byte of a request body that is not complete; then 408, or a read error where the body is
    /// streamed. Default 30 s.
    pub body: Duration,
    /// Bytes per second below which a request body is given up once `body_grace` is over; 0 for no minimum. Default 500.
    /// For buffered bodies: a streamed one is also slow because its application is.
    pub body_min_rate: u64,
    /// How long a body may be slower than `body_min_rate` at its start. Default 30 s.
    pub body_grace: Duration,
    /// Without progress while output waits for the client; then the connection is closed. Default 60 s.
    pub write: Duration,
    /// A connection may be idle between two requests. Default 75 s, longer than load balancers keep theirs (60 s).
    pub keepalive: Duration,
    /// A request may wait for a thread, or for one of its application's; then 503 with Retry-After. Default 30 s.
    pub queue: Duration,
    /// An application may take from the complete request to the first byte of its response; then 504. It is not
    /// interrupted, and its thread is free only when it returns. Default: none.
    pub request: Option<Duration>,
    /// What has begun may go on after a stop was asked for. Default 25 s, below Kubernetes' 30 s.
    pub drain: Duration,
}

/// Where the access log goes and how a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// The form of a line.
    pub format: AccessLogFormat,
    /// The file it is appended to; `None` for standard output.
    pub file: Option<PathBuf>,
}

/// The form of an access log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Apache's combined log format.
    Combined,
    /// One JSON object a line.
    Json,
    /// Apache's `%` directives, as typed; [`LineFormat::new`](crate::LineFormat::new) parses and checks them.
    Custom(String),
}

impl Default for Config {
    fn default() -> Self {
        Config {
            binds: vec![Bind::Tcp(SocketAddr::from(([127, 0, 0, 1], 8000)))],
            unix_socket_mode: 0o666,
            backlog: 1024,
            threads: 10,
            reactors: 1,
            keepalive_requests: None,
            stream_request_body: false,
            trust_proxy: Vec::new(),
            proxy_fields: ProxyFields::Either,
            tls: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            spool_dir: None,
            compression: Compression::default(),
            access_log: None,
            request_id: true,
            server_name: Some("kirsch".to_owned()),
            cheroot: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_bytes: 32 * KIB as u32,
            head_fields: 100,
            target_bytes: 16 * KIB as u32,
            body_bytes: GIB,
            body_memory_bytes: MIB,
            response_buffer_bytes: 16 * MIB,
            response_memory_bytes: 256 * KIB,
            buffer_memory_bytes: 256 * MIB,
            spool_bytes: 4 * GIB,
            connections: 10_000,
            queue_jobs: 1024,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(15),
            body: Duration::from_secs(30),
            body_min_rate: 500,
            body_grace: Duration::from_secs(30),
            write: Duration::from_secs(60),
            keepalive: Duration::from_secs(75),
            queue: Duration::from_secs(30),
            request: None,
            drain: Duration::from_secs(25),
        }
    }
}
