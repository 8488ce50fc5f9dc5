//! A request target and the Host beside it. The input is the target, a line end, and the host.

use kirsch_http::Limits;

use crate::head::{Verdict, check_accepted, read};
use crate::reference;

pub(crate) fn run(bytes: &[u8]) {
    let (target, host) = match memchr::memchr(b'\n', bytes) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &b"a.test"[..]),
    };
    let limits = Limits::default();
    for method in ["GET", "OPTIONS"] {
        let line = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: "].concat();
        let head = [&line, host, b"\r\n\r\n"].concat();
        let verdict = read(&head, &limits, &[head.len()]);
        if let Verdict::Accepted(head_read, fields) = &verdict {
            check_accepted(&head, head_read, fields);
        }
        let must_be_served = target.len() <= limits.target_bytes as usize
            && host.len() < 1000
            && reference::is_origin_form(target)
            && reference::is_authority(host)
            && !reference::decoded(target).contains(&0);
        if must_be_served {
            let accepted = matches!(verdict, Verdict::Accepted(..));
            assert!(accepted, "{verdict:?}: {}", head.escape_ascii());
        }
    }
}
