//! Addresses to listen on, as typed.
//!
//! One text may mean several addresses: a name stands for every address it resolves to.
//! Nothing is opened here; the name is looked up, so that a wrong one is known before anything starts.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;

use kirsch_server::{Bind, Scheme};

use crate::error::Complaint;

/// What the kernel's `sockaddr_un` holds, less one byte for the end or the leading NUL.
const UNIX_NAME_BYTES: usize = 107;

const FORMS: &str = "write HOST:PORT, [IPV6]:PORT, PORT, unix:PATH, @NAME or fd://NUMBER";

/// An address, and what is to be spoken there as far as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub bind: Bind,
    /// `None` where it was written without.
    pub scheme: Option<Scheme>,
}

/// Reads one address; relative paths are taken from `base`.
pub(crate) fn parse_listen(text: &str, base: &Path) -> Result<Vec<Listen>, Complaint> {
    let text = text.trim();
    let schemes = [("https://", Scheme::Https), ("http://", Scheme::Http)];
    let found = schemes
        .into_iter()
        .find_map(|(prefix, scheme)| Some((text.strip_prefix(prefix)?, scheme)));
    let (binds, scheme) = match found {
        None => (parse_bind(text, base)?, None),
        Some((rest, scheme)) => {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            let binds = parse_bind(rest, base)?;
            if let Some(bind) = binds.iter().find(|bind| !matches!(bind, Bind::Tcp(_))) {
                let message = format!("{text:?} is no address of TCP");
                return Err(Complaint::new(message, format!("write {bind}")));
            }
            (binds, Some(scheme))
        }
    };
    let listen = |bind| Listen { bind, scheme };
    Ok(binds.into_iter().map(listen).collect())
}

fn parse_bind(text: &str, base: &Path) -> Result<Vec<Bind>, Complaint> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(text, path, base).map(|bind| vec![bind]);
    }
    if let Some(name) = text.strip_prefix('@') {
        return abstract_name(text, name).map(|bind| vec![bind]);
    }
    if let Some(number) = text.strip_prefix("fd://") {
        return descriptor(text, number).map(|bind| vec![bind]);
    }
    if text.contains("://") {
        let rest = text
            .split("://")
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches('/');
        return Err(Complaint::new(
            format!("{text:?} is a URL, not an address"),
            format!("write {rest}"),
        ));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(vec![tcp(Ipv4Addr::LOCALHOST, port(text, text)?)]);
    }
    host_and_port(text)
}

/// Adds an address to those given before it. Given twice it is one, since a name may stand for what is given as a
/// number, too; but port 0 is another port each time.
pub(crate) fn add_listen(all: &mut Vec<Listen>, listen: Listen) -> Result<(), Complaint> {
    let bind = &listen.bind;
    let takes_free_port = matches!(bind, Bind::Tcp(addr) if addr.port() == 0);
    if all.contains(&listen) && !takes_free_port {
        return Ok(());
    }
    for Listen { bind: other, .. } in all.iter() {
        if other == bind && !takes_free_port {
            return Err(Complaint::new(
                format!("{bind} is to speak two things"),
                "write it once; http and https each need a port".to_owned(),
            ));
        }
        for (outer, inner) in [(other, bind), (bind, other)] {
            if contains(outer, inner) {
                return Err(Complaint::new(
                    format!("{outer} listens on {inner} too"),
                    format!("leave {inner} out"),
                ));
            }
        }
    }
    all.push(listen);
    Ok(())
}

/// Whether the one takes the connections of the other, so that the kernel would refuse the second of them.
fn contains(outer: &Bind, inner: &Bind) -> bool {
    let (Bind::Tcp(outer), Bind::Tcp(inner)) = (outer, inner) else {
        return false;
    };
    let all_of_its_kind = outer.ip().is_unspecified() && (outer.is_ipv6() || inner.is_ipv4());
    outer != inner && all_of_its_kind && outer.port() == inner.port() && outer.port() != 0
}

/// The address as it would be typed.
pub(crate) fn listen_text(listen: &Listen) -> String {
    match listen.scheme {
        Some(scheme) => format!("{}://{}", scheme.as_str(), listen.bind),
        None => listen.bind.to_string(),
    }
}

/// What `PORT` alone in the environment means: the platform sends its traffic to every address of the machine.
pub(crate) fn every_address(text: &str) -> Result<Bind, Complaint> {
    Ok(tcp(Ipv4Addr::UNSPECIFIED, port(text, text)?))
}

fn tcp(host: Ipv4Addr, port: u16) -> Bind {
    Bind::Tcp(SocketAddr::from((host, port)))
}

fn unix(text: &str, path: &str, base: &Path) -> Result<Bind, Complaint> {
    if path.is_empty() {
        return Err(Complaint::new(
            format!("{text:?} has no path"),
            "write a path, for instance unix:/run/kirsch.sock",
        ));
    }
    let path = base.join(path);
    if path.as_os_str().len() > UNIX_NAME_BYTES {
        let message = format!(
            "the path {} is longer than {UNIX_NAME_BYTES} bytes",
            path.display()
        );
        return Err(Complaint::new(
            message,
            "choose a shorter path, for instance unix:/run/kirsch.sock",
        ));
    }
    Ok(Bind::Unix(path))
}

fn abstract_name(text: &str, name: &str) -> Result<Bind, Complaint> {
    if name.is_empty() || name.len() > UNIX_NAME_BYTES {
        let message =
            format!("{text:?} has a name that is empty or longer than {UNIX_NAME_BYTES} bytes");
        return Err(Complaint::new(
            message,
            "write a name, for instance @kirsch",
        ));
    }
    Ok(Bind::Abstract(name.as_bytes().to_vec()))
}

fn descriptor(text: &str, number: &str) -> Result<Bind, Complaint> {
    let wrong = || {
        Complaint::new(
            format!("{text:?} does not name a descriptor"),
            "write a number, for instance fd://3",
        )
    };
    // `parse` would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    number.parse().map(Bind::Descriptor).map_err(|_| wrong())
}

fn host_and_port(text: &str) -> Result<Vec<Bind>, Complaint> {
    if let Some((first, rest)) = text.split_once(',') {
        let hint = format!(
            "repeat the flag: --bind {} --bind {}; in a file and in Python write a list",
            first.trim(),
            rest.trim().replace(',', " --bind ")
        );
        return Err(Complaint::new(
            format!("{text:?} is several addresses"),
            hint,
        ));
    }
    if text.starts_with(['/', '.', '~']) {
        return Err(Complaint::new(
            format!("{text:?} is a path, not an address"),
            format!("write unix:{text}"),
        ));
    }
    if let Some(number) = text.strip_prefix("fd:") {
        return Err(Complaint::new(
            format!("{text:?} does not name a descriptor"),
            format!("write fd://{number}"),
        ));
    }
    if text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() > 1 && !text.starts_with('[') {
        let hint = "write an IPv6 address in brackets, for instance [::1]:8000";
        return Err(Complaint::new(
            format!("{text:?} does not say where the address ends and the port begins"),
            hint,
        ));
    }
    let Some((host, port_text)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        let is_name =
            |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
        let hint = if text.is_empty() || text.starts_with('-') || !text.chars().all(is_name) {
            FORMS.to_owned()
        } else {
            format!("write {text}:8000")
        };
        return Err(Complaint::new(format!("{text:?} has no port"), hint));
    };
    let port = port(text, port_text)?;
    if host.is_empty() {
        // As gunicorn reads it.
        return Ok(vec![tcp(Ipv4Addr::UNSPECIFIED, port)]);
    }
    if host == "*" {
        let hint = format!(
            "write 0.0.0.0:{port} for every IPv4 address, or [::]:{port} for every address"
        );
        return Err(Complaint::new("\"*\" is not an address", hint));
    }
    if host.starts_with('[') {
        let wrong = |_| {
            Complaint::new(
                format!("{host:?} is not an IPv6 address"),
                "write for instance [::1]:8000",
            )
        };
        return text
            .parse()
            .map(|addr| vec![Bind::Tcp(addr)])
            .map_err(wrong);
    }
    resolve(host, port)
}

fn resolve(host: &str, port: u16) -> Result<Vec<Bind>, Complaint> {
    let unknown = |why: String| {
        let hint = "write a name or an address of this machine, for instance 127.0.0.1:8000";
        Complaint::new(
            format!("{host:?} does not resolve to an address ({why})"),
            hint,
        )
    };
    let mut binds = Vec::new();
    for addr in (host, port)
        .to_socket_addrs()
        .map_err(|err| unknown(err.to_string()))?
    {
        let bind = Bind::Tcp(addr);
        if !binds.contains(&bind) {
            binds.push(bind);
        }
    }
    if binds.is_empty() {
        Err(unknown("no address".to_owned()))
    } else {
        Ok(binds)
    }
}

fn port(text: &str, port: &str) -> Result<u16, Complaint> {
    let wrong = || {
        let message = if port == text {
            String::new()
        } else {
            format!(" in {text:?}")
        };
        let message = format!("{port:?}{message} is not a port");
        Complaint::new(
            message,
            "write a number from 1 to 65535, or 0 for a free port",
        )
    };
    // `parse` would take a sign.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    port.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Bind>, Complaint> {
        let all = parse_listen(text, Path::new("/srv"))?;
        Ok(all.into_iter().map(|listen| listen.bind).collect())
    }

    #[test]
    fn every_form_of_address_is_understood() {
        let tcp = |text: &str| Bind::Tcp(text.parse().expect("a literal address"));
        let cases = [
            ("127.0.0.1:8000", tcp("127.0.0.1:8000")),
            ("8000", tcp("127.0.0.1:8000")),
            (":8000", tcp("0.0.0.0:8000")),
            ("[::]:80", tcp("[::]:80")),
            ("[::1]:0", tcp("[::1]:0")),
            ("unix:run/k.sock", Bind::Unix("/srv/run/k.sock".into())),
            ("unix:/run/k.sock", Bind::Unix("/run/k.sock".into())),
            ("@kirsch", Bind::Abstract(b"kirsch".to_vec())),
            ("fd://3", Bind::Descriptor(3)),
        ];
        for (text, bind) in cases {
            assert_eq!(parse(text), Ok(vec![bind]), "{text}");
        }
    }

    #[test]
    fn a_name_stands_for_each_of_its_addresses_once() {
        let binds = parse("localhost:8000").expect("every machine knows localhost");
        assert!(
            binds
                .iter()
                .all(|bind| matches!(bind, Bind::Tcp(addr) if addr.ip().is_loopback()))
        );
        let mut unique = binds.clone();
        unique.dedup();
        assert_eq!(unique, binds);
    }

    #[test]
    fn a_malformed_address_is_refused_in_words() {
        let long = format!("unix:/{}", "x".repeat(120));
        let cases = [
            ("", "no port"),
            ("127.0.0.1", "no port"),
            ("[::1]", "no port"),
            ("::1:8000", "where the address ends"),
            ("::1", "where the address ends"),
            ("127.0.0.1:port", "not a port"),
            ("127.0.0.1:+80", "not a port"),
            ("70000", "not a port"),
            ("ftp://localhost:80/", "is a URL"),
            ("https://unix:/run/k.sock", "no address of TCP"),
            ("https://127.0.0.1", "no port"),
            ("*:80", "not an address"),
            ("[x]:80", "not an IPv6 address"),
            ("unix:", "no path"),
            ("@", "empty"),
            ("fd://", "descriptor"),
            ("fd://+3", "descriptor"),
            ("fd:3", "descriptor"),
            ("127.0.0.1:80,[::1]:80", "several addresses"),
            ("/run/kirsch.sock", "is a path"),
            ("127.0.0.1 80", "no port"),
            ("no.such.host.invalid:80", "does not resolve"),
            (&long, "longer than 107 bytes"),
        ];
        for (text, part) in cases {
            let complaint = parse(text).expect_err(text);
            assert!(complaint.message.contains(part), "{text}: {complaint:?}");
            assert!(complaint.hint.is_some(), "{text}");
        }
    }

    #[test]
    fn a_hint_can_be_typed() {
        let cases = [
            (
                "127.0.0.1:80, [::1]:80,@x",
                "repeat the flag: --bind 127.0.0.1:80 --bind [::1]:80 --bind @x; in a file and in Python write a list",
            ),
            ("/run/kirsch.sock", "write unix:/run/kirsch.sock"),
            ("fd:3", "write fd://3"),
            ("localhost", "write localhost:8000"),
            ("127.0.0.1 80", FORMS),
        ];
        for (text, hint) in cases {
            assert_eq!(parse(text).expect_err(text).hint.as_deref(), Some(hint));
        }
    }

    fn add_all(texts: &[&str]) -> Result<Vec<Listen>, Complaint> {
        let mut all = Vec::new();
        for text in texts {
            for listen in parse_listen(text, Path::new("/srv")).expect("a good address") {
                add_listen(&mut all, listen)?;
            }
        }
        Ok(all)
    }

    #[test]
    fn an_address_may_say_what_is_spoken_there() {
        let all = add_all(&["https://127.0.0.1:8443", "http://127.0.0.1:8000/", "@k"]);
        let texts: Vec<_> = all.expect("fine").iter().map(listen_text).collect();
        assert_eq!(
            texts,
            ["https://127.0.0.1:8443", "http://127.0.0.1:8000", "@k"]
        );
        let twice = add_all(&["https://127.0.0.1:8443", "http://127.0.0.1:8443"]);
        let complaint = twice.expect_err("one port cannot speak both");
        assert_eq!(complaint.message, "127.0.0.1:8443 is to speak two things");
    }

    #[test]
    fn an_address_that_is_given_twice_is_one() {
        let cases = [
            ["127.0.0.1:8000", "8000"],
            ["unix:run/k.sock", "unix:/srv/./run/k.sock"],
            ["@kirsch", "@kirsch"],
            ["fd://3", "fd://3"],
        ];
        for texts in cases {
            assert_eq!(add_all(&texts).map(|binds| binds.len()), Ok(1), "{texts:?}");
        }
        let free = add_all(&["127.0.0.1:0", "127.0.0.1:0", "0.0.0.0:0"]);
        assert_eq!(
            free.map(|binds| binds.len()),
            Ok(3),
            "each is a port of its own"
        );
    }

    #[test]
    fn an_address_that_contains_another_is_refused_in_either_order() {
        let cases = [
            ("0.0.0.0:8000", "127.0.0.1:8000"),
            ("[::]:8000", "127.0.0.1:8000"),
            ("[::]:8000", "[::1]:8000"),
            ("[::]:8000", "0.0.0.0:8000"),
        ];
        for (outer, inner) in cases {
            for texts in [[outer, inner], [inner, outer]] {
                let complaint = Complaint::new(
                    format!("{outer} listens on {inner} too"),
                    format!("leave {inner} out"),
                );
                assert_eq!(add_all(&texts), Err(complaint));
            }
        }
        let apart = [
            ["0.0.0.0:8000", "127.0.0.1:8001"],
            ["0.0.0.0:8000", "[::1]:8000"],
            ["127.0.0.1:8000", "127.0.0.2:8000"],
        ];
        for texts in apart {
            assert_eq!(add_all(&texts).map(|binds| binds.len()), Ok(2), "{texts:?}");
        }
    }
}
