//! Listening sockets: how an address becomes one, and how connections come out of it.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::{TcpListener, UnixListener};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::bind_error::BindError;
use crate::config::{Bind, Config};
use crate::forwarded::Scheme;
use crate::request::{LocalName, Origin};
use crate::socket;
use crate::stream::Stream;

/// Where the number of a descriptor comes from.
const WHO_PASSES_SOCKETS: &str =
    "systemd passes the sockets of a unit on from fd://3, another starter has to leave them open";

/// So often a free port is asked for that is to be free at several addresses.
const PORT_TRIES: usize = 8;

/// A socket that listens, and its file.
type Opened = (Socket, Option<SocketFile>);

/// A listening socket.
pub(crate) struct Listener {
    pub(crate) socket: ListeningSocket,
    pub(crate) local: Arc<LocalName>,
    /// The kernel has said that there is something to accept, and we have not seen the end of it.
    pub(crate) ready: bool,
    /// The file of a unix socket of ours, removed in the end.
    _file: Option<SocketFile>,
}

pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What accepting gave.
pub(crate) enum Accepted {
    Connection(Stream, Arc<Origin>),
    /// A client that left before it was accepted.
    Gone,
    /// Nobody waits.
    None,
}

/// An address that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    /// TCP, with the port that was taken.
    Tcp(SocketAddr),
    /// The same, over TLS.
    Tls(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
    /// A name in the abstract namespace.
    Abstract(Vec<u8>),
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundAddress::Tcp(addr) => write!(f, "http://{addr}"),
            BoundAddress::Tls(addr) => write!(f, "https://{addr}"),
            BoundAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            BoundAddress::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
        }
    }
}

/// Opens every listening socket of a configuration.
///
/// # Errors
///
/// The first address that cannot be listened on; those opened before it are closed again.
pub(crate) fn listen(
    config: &Config,
    mut inherited: Vec<(RawFd, OwnedFd)>,
) -> Result<(Vec<Listener>, Vec<BoundAddress>), BindError> {
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    let mut rest = config.binds.as_slice();
    while !rest.is_empty() {
        let (together, others) = rest.split_at(alike(rest));
        rest = others;
        let opened = open_together(together, config, &mut inherited)
            .map_err(|(bind, source)| BindError::new(bind, source))?;
        for (bind, (socket, file)) in together.iter().zip(opened) {
            let (listener, address) = adopt(socket, file, bind.is_tls(), listeners.len())
                .map_err(|source| BindError::new(bind.clone(), source))?;
            listeners.push(listener);
            addresses.push(address);
        }
    }
    Ok((listeners, addresses))
}

/// How many of these, from the first on, are to have one port: a name stands for several addresses, and where any
/// free port will do, all of them get the same. Addresses that contain others need ports of their own.
fn alike(binds: &[Bind]) -> usize {
    let any_port = |bind: &Bind| match bind {
        Bind::Tcp(addr) | Bind::Tls(addr) if addr.port() == 0 && !addr.ip().is_unspecified() => {
            Some((addr.ip(), bind.is_tls()))
        }
        Bind::Tcp(_)
        | Bind::Tls(_)
        | Bind::Unix(_)
        | Bind::Abstract(_)
        | Bind::Descriptor(_)
        | Bind::TlsDescriptor(_) => None,
    };
    let mut seen: Vec<(IpAddr, bool)> = Vec::new();
    for next in binds.iter().map_while(any_port) {
        let of_a_kind = seen.first().is_none_or(|(_, tls)| *tls == next.1);
        if !of_a_kind || seen.contains(&next) {
            break;
        }
        seen.push(next);
    }
    seen.len().max(1)
}

/// Opens addresses at the port that the first of them gets. It may be taken at another: then the next is tried.
fn open_together(
    binds: &[Bind],
    config: &Config,
    inherited: &mut Vec<(RawFd, OwnedFd)>,
) -> Result<Vec<Opened>, (Bind, io::Error)> {
    let mut tries = PORT_TRIES;
    loop {
        tries -= 1;
        match open_at_one_port(binds, config, inherited) {
            Err((_, err))
                if tries > 0 && binds.len() > 1 && err.kind() == io::ErrorKind::AddrInUse => {}
            opened => return opened,
        }
    }
}

fn open_at_one_port(
    binds: &[Bind],
    config: &Config,
    inherited: &mut Vec<(RawFd, OwnedFd)>,
) -> Result<Vec<Opened>, (Bind, io::Error)> {
    let mut all: Vec<Opened> = Vec::with_capacity(binds.len());
    for bind in binds {
        let first = all
            .first()
            .and_then(|(socket, _)| socket.local_addr().ok()?.as_socket());
        let bind = match (bind, first) {
            (Bind::Tcp(addr), Some(first)) => Bind::Tcp(SocketAddr::new(addr.ip(), first.port())),
            (Bind::Tls(addr), Some(first)) => Bind::Tls(SocketAddr::new(addr.ip(), first.port())),
            _ => bind.clone(),
        };
        match open(&bind, config, inherited) {
            Ok(opened) => all.push(opened),
            Err(err) => return Err((bind, err)),
        }
    }
    Ok(all)
}

fn open(bind: &Bind, config: &Config, inherited: &mut Vec<(RawFd, OwnedFd)>) -> io::Result<Opened> {
    let backlog = i32::try_from(config.backlog).unwrap_or(i32::MAX);
    match bind {
        Bind::Tcp(addr) | Bind::Tls(addr) => {
            let socket = Socket::new(Domain::for_address(*addr), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            if addr.is_ipv6() {
                socket.set_only_v6(!addr.ip().is_unspecified())?;
            }
            socket.bind(&SockAddr::from(*addr))?;
            socket.listen(backlog)?;
            Ok((socket, None))
        }
        Bind::Unix(path) => {
            remove_stale(path)?;
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            let file = SocketFile::new(path);
            fs::set_permissions(path, fs::Permissions::from_mode(config.unix_socket_mode))?;
            socket.listen(backlog)?;
            Ok((socket, Some(file)))
        }
        Bind::Abstract(name) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(abstract_path(name))?)?;
            socket.listen(backlog)?;
            Ok((socket, None))
        }
        Bind::Descriptor(number) | Bind::TlsDescriptor(number) => {
            let place = inherited.iter().position(|(given, _)| given == number);
            let Some(place) = place else {
                let text = format!(
                    "descriptor {number} was not passed on to this process; {WHO_PASSES_SOCKETS}"
                );
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            };
            let socket = Socket::from(inherited.swap_remove(place).1);
            // What is no socket at all cannot even be asked.
            if !socket.is_listener().unwrap_or(false) {
                let text =
                    format!("descriptor {number} is not a listening socket; {WHO_PASSES_SOCKETS}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            Ok((socket, None))
        }
    }
}

fn adopt(
    socket: Socket,
    file: Option<SocketFile>,
    tls: bool,
    listener: usize,
) -> io::Result<(Listener, BoundAddress)> {
    socket.set_nonblocking(true)?;
    socket.set_cloexec(true)?;
    let addr = socket.local_addr()?;
    let (socket, address) = if let Some(addr) = addr.as_socket() {
        (
            ListeningSocket::Tcp(TcpListener::from_std(socket.into())),
            match tls {
                true => BoundAddress::Tls(addr),
                false => BoundAddress::Tcp(addr),
            },
        )
    } else {
        let address = match addr.as_pathname() {
            Some(path) => BoundAddress::Unix(path.to_owned()),
            None => {
                BoundAddress::Abstract(addr.as_abstract_namespace().unwrap_or_default().to_vec())
            }
        };
        (
            ListeningSocket::Unix(UnixListener::from_std(socket.into())),
            address,
        )
    };
    let local = Arc::new(local_name(&address, listener));
    Ok((
        Listener {
            socket,
            local,
            ready: false,
            _file: file,
        },
        address,
    ))
}

/// SERVER_NAME and SERVER_PORT must never be empty (PEP 3333).
fn local_name(address: &BoundAddress, listener: usize) -> LocalName {
    let (name, port, scheme) = match address {
        BoundAddress::Tcp(addr) => (host_name(addr.ip()), addr.port(), Scheme::Http),
        BoundAddress::Tls(addr) => (host_name(addr.ip()), addr.port(), Scheme::Https),
        // A port number is what applications expect; 80 makes the URLs they build carry none.
        BoundAddress::Unix(_) | BoundAddress::Abstract(_) => {
            ("localhost".to_owned(), 80, Scheme::Http)
        }
    };
    LocalName {
        listener,
        name,
        port: port.to_string(),
        scheme,
    }
}

/// The address, or the machine's name where it stands for all of them.
fn host_name(ip: IpAddr) -> String {
    let uname = rustix::system::uname();
    match uname.nodename().to_string_lossy() {
        host if ip.is_unspecified() && !host.is_empty() => host.into_owned(),
        _ => host_of(ip),
    }
}

/// An address as the host of a URL, which is what CGI wants (RFC 3875 section 4.1.14): IPv6 in brackets.
fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn abstract_path(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = vec![0];
    bytes.extend_from_slice(name);
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Removes a socket that nobody listens on any more; any other file is never touched.
fn remove_stale(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.file_type(),
    };
    if !kind.is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path exists and is not a socket; it is left alone; \
             remove it if nobody needs it, or choose another path",
        ));
    }
    match StdUnixStream::connect(path) {
        Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(err) => Err(err),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The file of a unix socket; removed on drop by the process that made it, if it is still the same.
struct SocketFile {
    path: PathBuf,
    made: Option<(u64, u64)>,
    process: u32,
}

impl SocketFile {
    fn new(path: &Path) -> SocketFile {
        SocketFile {
            path: path.to_owned(),
            made: identity(path),
            process: std::process::id(),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.process == std::process::id()
            && self.made.is_some()
            && identity(&self.path) == self.made
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path)
        .ok()
        .map(|meta| (meta.dev(), meta.ino()))
}

impl Listener {
    /// Whether somebody waits to be accepted, as far as the kernel says.
    pub(crate) fn has_waiting(&self) -> bool {
        let mut look = [PollFd::new(&self.socket, PollFlags::IN)];
        poll(&mut look, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Accepts one connection.
    ///
    /// # Errors
    ///
    /// What accepting a moment later may not meet again: descriptors or memory have run out.
    pub(crate) fn accept(&mut self) -> io::Result<Accepted> {
        let accepted = match &self.socket {
            ListeningSocket::Tcp(socket) => socket
                .accept()
                .map(|(stream, peer)| (socket::Socket::Tcp(stream), Some(peer))),
            ListeningSocket::Unix(socket) => socket
                .accept()
                .map(|(stream, _)| (socket::Socket::Unix(stream), None)),
        };
        match accepted {
            Ok((socket, peer)) => {
                let stream = match self.local.scheme {
                    Scheme::Http => Stream::plain(socket),
                    Scheme::Https => Stream::secure(socket),
                };
                let peer = peer.map(unmapped);
                let peer_address = peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
                let origin = Origin {
                    peer,
                    peer_address,
                    local: Arc::clone(&self.local),
                    tls: None,
                };
                Ok(Accepted::Connection(stream, Arc::new(origin)))
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(Accepted::None),
            Err(err) => match rustix::io::Errno::from_io_error(&err) {
                // The connection is at fault, not the listener (accept(2)).
                Some(
                    rustix::io::Errno::CONNABORTED
                    | rustix::io::Errno::INTR
                    | rustix::io::Errno::PROTO
                    | rustix::io::Errno::NETDOWN
                    | rustix::io::Errno::NOPROTOOPT
                    | rustix::io::Errno::HOSTDOWN
                    | rustix::io::Errno::HOSTUNREACH
                    | rustix::io::Errno::OPNOTSUPP
                    | rustix::io::Errno::NETUNREACH,
                ) => Ok(Accepted::Gone),
                _ => Err(err),
            },
        }
    }
}

/// A peer that came over IPv4 to a dual-stack socket is known by its IPv4 address.
fn unmapped(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            ListeningSocket::Tcp(socket) => socket.as_fd(),
            ListeningSocket::Unix(socket) => socket.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(bind: Bind) -> Config {
        Config {
            binds: vec![bind],
            ..Config::default()
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_any_other_file_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let stale = folder.path().join("stale");
        drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
        assert!(listen(&config(Bind::Unix(stale.clone())), Vec::new()).is_ok());
        assert!(!stale.exists(), "removed when the listener ended");

        let precious = folder.path().join("precious");
        fs::write(&precious, "data").expect("a file");
        assert!(listen(&config(Bind::Unix(precious.clone())), Vec::new()).is_err());
        assert_eq!(fs::read(&precious).expect("still there"), b"data");
    }

    #[test]
    fn a_socket_in_use_is_not_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("used");
        let _other = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let Err(error) = listen(&config(Bind::Unix(path)), Vec::new()) else {
            panic!("bound twice")
        };
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_socket_file_has_the_mode_that_was_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mode");
        let config = Config {
            unix_socket_mode: 0o600,
            ..config(Bind::Unix(path.clone()))
        };
        let _listeners = listen(&config, Vec::new()).unwrap_or_else(|error| panic!("{error}"));
        let mode = fs::metadata(&path).expect("bound").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_addresses_of_a_name_get_one_free_port_and_those_that_contain_others_their_own() {
        let bind = |text: &str| Bind::Tcp(text.parse().expect("an address"));
        let any = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0", "0.0.0.0:0"];
        let config = Config {
            binds: any.map(bind).to_vec(),
            ..Config::default()
        };
        let (_listeners, addresses) =
            listen(&config, Vec::new()).unwrap_or_else(|error| panic!("{error}"));
        let ports: Vec<u16> = addresses
            .iter()
            .map(|address| match address {
                BoundAddress::Tcp(addr) => addr.port(),
                other => panic!("not tcp: {other}"),
            })
            .collect();
        assert_eq!(ports[0], ports[1]);
        assert_ne!(ports[2], ports[0]);
        assert_ne!(ports[3], ports[0]);
    }

    #[test]
    fn dual_stack_accepts_ipv4_under_its_own_address() {
        let any = Bind::Tcp("[::]:0".parse().expect("an address"));
        let (mut listeners, addresses) =
            listen(&config(any), Vec::new()).unwrap_or_else(|error| panic!("{error}"));
        let BoundAddress::Tcp(addr) = addresses[0] else {
            panic!("not tcp")
        };
        let _client = std::net::TcpStream::connect(("127.0.0.1", addr.port())).expect("connects");
        let Ok(Accepted::Connection(_, origin)) = listeners[0].accept() else {
            panic!("nothing accepted")
        };
        assert_eq!(origin.peer_address, "127.0.0.1");
    }
}
