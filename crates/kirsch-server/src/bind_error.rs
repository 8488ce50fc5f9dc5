//! Why an address cannot be listened on, in words that say what to do about it.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use crate::config::Bind;
use crate::path_trouble::PathTrouble;
use crate::port_owner::{PortOwner, port_owner, socket_owner};
use crate::reason::reason;

/// Below it, Linux asks for a capability (`net.ipv4.ip_unprivileged_port_start`).
const FIRST_FREE_PORT: u16 = 1024;

/// An address that cannot be listened on.
pub struct BindError {
    /// Which one.
    pub bind: Bind,
    /// Why.
    pub source: io::Error,
    /// Who has the port or the socket, if it is in use and that can be seen.
    pub owner: Option<PortOwner>,
    /// What is wrong with the path of a unix socket, if that can be seen.
    trouble: Option<PathTrouble>,
}

impl BindError {
    /// Looks up at once who has the port, and what is at the path: a moment later it may be another.
    pub(crate) fn new(bind: Bind, source: io::Error) -> BindError {
        let owner = match &bind {
            _ if source.kind() != io::ErrorKind::AddrInUse => None,
            Bind::Tcp(addr) | Bind::Tls(addr) => port_owner(*addr),
            Bind::Unix(path) => socket_owner(path.as_os_str().as_bytes()),
            Bind::Abstract(name) => socket_owner(&[b"@", name.as_slice()].concat()),
            Bind::Descriptor(_) | Bind::TlsDescriptor(_) => None,
        };
        let trouble = match &bind {
            Bind::Unix(path) => PathTrouble::find(path, &source),
            Bind::Tcp(_)
            | Bind::Tls(_)
            | Bind::Abstract(_)
            | Bind::Descriptor(_)
            | Bind::TlsDescriptor(_) => None,
        };
        BindError {
            bind,
            source,
            owner,
            trouble,
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: ", self.bind)?;
        if let Some(trouble) = &self.trouble {
            return trouble.fmt(f);
        }
        let errno = Errno::from_io_error(&self.source);
        match (&self.bind, errno) {
            (Bind::Tcp(_) | Bind::Tls(_), Some(Errno::ADDRINUSE)) => in_use(self.owner.as_ref(), f),
            (Bind::Tcp(addr) | Bind::Tls(addr), Some(Errno::ACCESS)) if addr.port() < FIRST_FREE_PORT => f.write_str(
                "this needs the right to bind ports below 1024 (CAP_NET_BIND_SERVICE); \
                 choose a port from 1024 on, or have systemd open it and pass it on with --bind fd://3",
            ),
            (Bind::Tcp(addr) | Bind::Tls(addr), Some(Errno::ADDRNOTAVAIL)) => {
                let any = if addr.is_ipv6() { "[::]" } else { "0.0.0.0" };
                write!(
                    f,
                    "{} is not an address of this machine; write one that `ip address` lists, or {any} for all",
                    addr.ip()
                )
            }
            (Bind::Unix(_) | Bind::Abstract(_), _)
                if self.source.kind() == io::ErrorKind::AddrInUse =>
            {
                match &self.owner {
                    Some(owner) if owner.pid != std::process::id() => write!(
                        f,
                        "process {owner} listens there; stop it or choose another with --bind"
                    ),
                    Some(_) => f.write_str("this process listens there already; give each address once"),
                    None => f.write_str("another process listens there; stop it or choose another with --bind"),
                }
            }
            _ => f.write_str(&reason(&self.source)),
        }
    }
}

fn in_use(owner: Option<&PortOwner>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match owner {
        Some(owner) if owner.pid == std::process::id() => f.write_str(
            "this process listens on the port already; give each address once, or choose another with --bind",
        ),
        Some(owner) => write!(
            f,
            "the port is in use by process {owner}; stop it or choose another with --bind"
        ),
        // Only root sees the sockets of others.
        None => f.write_str(
            "the port is in use, perhaps by another user's process; stop that or choose another with --bind",
        ),
    }
}

/// As it prints: a program that ends with it, `fn main() -> Result<(), …>`, shows this form.
impl fmt::Debug for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(addr: &str, errno: Errno, owner: Option<PortOwner>) -> String {
        let error = BindError {
            bind: Bind::Tcp(addr.parse().expect("an address")),
            source: errno.into(),
            owner,
            trouble: None,
        };
        error.to_string()
    }

    #[test]
    fn a_port_in_use_says_by_whom() {
        let owner = PortOwner {
            pid: 4711,
            command: "python3 app.py".to_owned(),
        };
        assert_eq!(
            words("127.0.0.1:8000", Errno::ADDRINUSE, Some(owner)),
            "cannot listen on 127.0.0.1:8000: the port is in use by process 4711 (python3 app.py); \
             stop it or choose another with --bind"
        );
        assert_eq!(
            words("127.0.0.1:8000", Errno::ADDRINUSE, None),
            "cannot listen on 127.0.0.1:8000: the port is in use, perhaps by another user's process; \
             stop that or choose another with --bind"
        );
    }

    #[test]
    fn a_port_below_1024_says_what_right_is_missing() {
        assert_eq!(
            words("0.0.0.0:80", Errno::ACCESS, None),
            "cannot listen on 0.0.0.0:80: this needs the right to bind ports below 1024 \
             (CAP_NET_BIND_SERVICE); choose a port from 1024 on, or have systemd open it and \
             pass it on with --bind fd://3"
        );
    }

    #[test]
    fn a_foreign_address_says_so() {
        assert_eq!(
            words("192.0.2.1:8000", Errno::ADDRNOTAVAIL, None),
            "cannot listen on 192.0.2.1:8000: 192.0.2.1 is not an address of this machine; \
             write one that `ip address` lists, or 0.0.0.0 for all"
        );
    }

    #[test]
    fn a_unix_socket_in_a_folder_that_is_missing_names_the_folder() {
        let error = BindError::new(Bind::Unix("/nowhere/socket".into()), Errno::NOENT.into());
        assert_eq!(
            error.to_string(),
            "cannot listen on unix:/nowhere/socket: the folder /nowhere does not exist; \
             make it, or choose another path"
        );
    }

    #[test]
    fn a_program_that_ends_with_it_shows_the_words_for_users() {
        let error = BindError::new(Bind::Abstract(b"name".to_vec()), Errno::PERM.into());
        let text = "cannot listen on @name: Operation not permitted";
        assert_eq!(
            (format!("{error:?}"), error.to_string()),
            (text.to_owned(), text.to_owned())
        );
    }

    #[test]
    fn a_unix_socket_that_is_in_use_says_by_whom() {
        let error = BindError {
            bind: Bind::Abstract(b"name".to_vec()),
            source: io::ErrorKind::AddrInUse.into(),
            owner: Some(PortOwner {
                pid: 4711,
                command: "python3 app.py".to_owned(),
            }),
            trouble: None,
        };
        assert_eq!(
            error.to_string(),
            "cannot listen on @name: process 4711 (python3 app.py) listens there; \
             stop it or choose another with --bind"
        );
    }

    #[test]
    fn an_address_that_is_given_twice_is_found_to_be_our_own() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = socket.local_addr().expect("bound");
        let error = BindError::new(Bind::Tcp(addr), Errno::ADDRINUSE.into());
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on {addr}: this process listens on the port already; \
                 give each address once, or choose another with --bind"
            )
        );
    }
}
