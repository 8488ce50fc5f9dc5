//! Which process listens on a port, or on a unix socket: what Linux says in `/proc`.
//!
//! `/proc/net/tcp` and `/proc/net/unix` map addresses to the inodes of sockets, and the links in `/proc/*/fd` map
//! processes to inodes. What cannot be read, such as the processes of other users, is passed over.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest part of a command line that is shown.
const COMMAND_CHARS: usize = 80;
/// The state of a listening socket in `/proc/net/tcp` (`TCP_LISTEN` of the kernel).
const LISTEN: &str = "0A";
/// The flag of a listening socket in `/proc/net/unix` (`__SO_ACCEPTCON` of the kernel).
const ACCEPTS: u32 = 1 << 16;

/// A process that listens on a port, or on a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortOwner {
    /// Its id.
    pub pid: u32,
    /// How it was called, or as much of that as fits into a message.
    pub command: String,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, self.command)
    }
}

/// The process whose listening socket is in the way of listening on `addr`, as far as can be seen.
///
/// Of several that share the socket, the one with the lowest id: usually the parent.
pub fn port_owner(addr: SocketAddr) -> Option<PortOwner> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| in_the_way(&table, addr))
        .collect();
    owner_of(&inodes)
}

/// The process that listens on a unix socket: at a path, as it was bound, or with `@` in front of an abstract name.
pub fn socket_owner(name: &[u8]) -> Option<PortOwner> {
    owner_of(&listening(&fs::read("/proc/net/unix").ok()?, name))
}

fn owner_of(inodes: &[String]) -> Option<PortOwner> {
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let pid = pids().into_iter().find(|pid| has_open(*pid, &links))?;
    Some(PortOwner {
        pid,
        command: command(pid),
    })
}

/// The inodes of the listening sockets of a table that are in the way of an address.
fn in_the_way(table: &str, wanted: SocketAddr) -> Vec<String> {
    let inode = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let local = parse_address(columns.nth(1)?)?;
        let state = columns.nth(1)?;
        // The columns between state and inode: queues, timer, retransmissions, user, timeout.
        let inode = columns.nth(5)?;
        (state == LISTEN && collide(local, wanted)).then(|| inode.to_owned())
    };
    table.lines().skip(1).filter_map(inode).collect()
}

/// The inodes of the unix sockets of a table that listen at a path, or on an abstract name.
fn listening(table: &[u8], wanted: &[u8]) -> Vec<String> {
    let inode = |line: &[u8]| {
        // Number, references, protocol, flags, type, state, inode, and a path, which may hold anything.
        let end = line.len().checked_sub(wanted.len() + 1)?;
        let columns = str::from_utf8(line.get(..end)?).ok()?;
        let mut columns = columns.split_ascii_whitespace().skip(3);
        let flags = u32::from_str_radix(columns.next()?, 16).ok()?;
        let inode = columns.nth(2)?;
        let alone = columns.next().is_none() && line[end] == b' ' && line.ends_with(wanted);
        (alone && flags & ACCEPTS != 0).then(|| inode.to_owned())
    };
    table
        .split(|byte| *byte == b'\n')
        .filter_map(inode)
        .collect()
}

/// Whether two listening sockets cannot be at once; the unspecified address takes all.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (left, right) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (left == right || left.is_unspecified() || right.is_unspecified())
}

/// An address as the kernel writes it: words of 32 bits in the machine's byte order, and a port.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let word = |idx: usize| {
        let digits = words.get(idx * 8..idx * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match words.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (idx, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(idx)?);
            }
            IpAddr::from(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// All processes, lowest id first.
fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

fn has_open(pid: u32, links: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok())
        .any(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
}

/// The command line, its arguments parted by blanks; nothing in it can disturb a terminal.
fn command(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    printable(&line)
}

fn printable(command_line: &[u8]) -> String {
    let text = String::from_utf8_lossy(command_line);
    let text = text.trim_end_matches('\0');
    if text.is_empty() {
        return "unknown command".to_owned();
    }
    let mut shown: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(COMMAND_CHARS)
        .collect();
    if text.chars().nth(COMMAND_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_owner_of_a_port_is_found() {
        for any in ["127.0.0.1:0", "0.0.0.0:0"] {
            let socket = std::net::TcpListener::bind(any).expect("a port");
            let port = socket.local_addr().expect("bound").port();
            let owner = port_owner(addr(&format!("127.0.0.1:{port}"))).expect("we own it");
            assert_eq!(owner.pid, std::process::id());
            assert!(owner.command.contains("kirsch"), "{owner}");
        }
    }

    #[test]
    fn a_free_port_has_no_owner() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let free = socket.local_addr().expect("bound");
        drop(socket);
        assert_eq!(port_owner(free), None);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table_is_understood() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100\n\
            \x20  1: 0100007F:1F40 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 100\n\
            \x20  2: 0200007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 333 1 0 100\n\
            \x20  3: garbage\n";
        assert_eq!(in_the_way(table, addr("127.0.0.1:8000")), ["111"]);
        assert_eq!(in_the_way(table, addr("0.0.0.0:8000")), ["111", "333"]);
        assert!(in_the_way(table, addr("127.0.0.1:8001")).is_empty());
        assert_eq!(
            parse_address("00000000000000000000000001000000:0050"),
            Some(addr("[::1]:80"))
        );
        assert_eq!(
            parse_address("0000000000000000FFFF00000100007F:0050"),
            Some(addr("[::ffff:127.0.0.1]:80"))
        );
    }

    #[test]
    fn the_owner_of_a_unix_socket_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let name = path.to_str().expect("a name of ours");
        let owner = socket_owner(name.as_bytes()).expect("we own it");
        assert_eq!(owner.pid, std::process::id());
        assert_eq!(socket_owner(&name.as_bytes()[1..]), None);
    }

    #[test]
    fn the_kernels_table_of_unix_sockets_is_understood() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 111 /run/a socket\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 222 /run/a socket\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 333 @name\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 444\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 555 /x /run/a socket\n";
        assert_eq!(listening(table, b"/run/a socket"), ["111"]);
        assert_eq!(listening(table, b"@name"), ["333"]);
        assert!(listening(table, b"name").is_empty());
        assert!(listening(table, b"socket").is_empty());
    }

    #[test]
    fn a_command_fits_into_a_message() {
        assert_eq!(printable(b"python3\0app.py\0"), "python3 app.py");
        assert_eq!(printable(b"a\x1b[2Jb\n\0"), "a [2Jb ");
        assert_eq!(printable(b""), "unknown command");
        assert_eq!(printable(&[b'x'; 200]).chars().count(), 81);
    }
}
