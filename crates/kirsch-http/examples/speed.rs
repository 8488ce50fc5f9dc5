//! How long a head takes: `cargo run --release -p kirsch-http --example speed`.
//!
//! Not a benchmark with statistics; the best of some rounds, to see whether a change was one.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kirsch_http::{CommonFields, Limits, RequestFacts, RequestReader, ResponseHead, Version};

const BROWSER: &[u8] = b"GET /wiki/Prunus_cerasus?action=history&limit=50 HTTP/1.1\r\n\
    Host: en.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: none\r\n\
    Priority: u=0, i\r\n\r\n";

const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost:8000\r\n\r\n";

const COMMON: CommonFields<'_> = CommonFields {
    date: b"Sun, 06 Nov 1994 08:49:37 GMT",
    server: Some(b"Kirsch"),
    request_id: None,
    keep_alive: None,
};

fn main() {
    let mut fields = Vec::with_capacity(32);
    let limits = Limits::default();
    for (name, bytes) in [("browser head", BROWSER), ("small head", SMALL)] {
        let best = best_of(|| {
            let mut reader = RequestReader::new();
            let head = reader.next_head(black_box(bytes), &limits, &mut fields);
            assert!(matches!(black_box(head), Ok(Some(_))));
        });
        println!("{name}: {best:?}");
    }

    let facts = RequestFacts {
        version: Version::Http11,
        is_head: false,
        keep_alive: true,
    };
    let mut buf = Vec::with_capacity(512);
    let best = best_of(|| {
        let mut head = ResponseHead::with_buffer(std::mem::take(&mut buf));
        let good = head.status(black_box(b"200 OK")).is_ok()
            && head
                .field(b"Content-Type", black_box(b"text/html; charset=utf-8"))
                .is_ok()
            && head
                .field(b"Vary", black_box(b"Accept-Encoding, Cookie"))
                .is_ok()
            && head.field(b"Content-Length", black_box(b"12345")).is_ok();
        assert!(good);
        black_box(head.finish(&facts, None, &COMMON, true));
        buf = black_box(head.into_bytes());
    });
    println!("response head of 3 fields: {best:?}");
}

/// The time of one call, in the best of twenty rounds.
fn best_of(mut call: impl FnMut()) -> Duration {
    const CALLS: u32 = 20_000;
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed() / CALLS
    };
    (0..20).map(round).min().unwrap_or_default()
}
