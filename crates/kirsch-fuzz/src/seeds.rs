//! Inputs to begin with, made of the conformance cases, and the words that mutations put in.

use kirsch_config::{OptionSpec, application_keys, options, route_keys};
use kirsch_testing::load_cases;

use crate::reference;
use crate::response::{NAMES, STATUSES, VALUES};

/// Longer ones teach a fuzzer nothing and cost it time; the runner of the cases tries them.
const SEED_BYTES: usize = 4096;

/// The inputs for a target, short ones first.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = match target {
        "options" => files(),
        "response" => applications(),
        "range" => ranges(),
        _ => requests()
            .iter()
            .filter_map(|request| from_request(target, request))
            .collect(),
    };
    seeds.retain(|seed| seed.len() <= SEED_BYTES);
    seeds.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    seeds.dedup();
    seeds
}

/// The words of a target's language.
pub fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let words: Vec<&[u8]> = match target {
        "options" => {
            let keys = options().iter().filter_map(OptionSpec::key);
            let texts = [
                "[limits]\n",
                "[timeouts]\n",
                "[apps.a]\n",
                "[[routes]]\n",
                "\"",
                "'''",
                "[",
                "]",
                "{",
                "}",
                " = ",
                "true",
                "1e9",
            ];
            let routes = route_keys().iter().flat_map(|key| [key.name, key.example]);
            let applications = application_keys()
                .iter()
                .flat_map(|key| [key.name, key.example]);
            return keys
                .chain(routes.chain(applications).map(str::to_owned))
                .chain(options().iter().map(|option| option.example.to_owned()))
                .chain(texts.map(str::to_owned))
                .filter(|word| !word.is_empty())
                .map(String::into_bytes)
                .collect();
        }
        "range" => RANGE_WORDS.to_vec(),
        "response" => [&STATUSES[..], &NAMES[..], &VALUES[..]].concat(),
        _ => WORDS.to_vec(),
    };
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b";",
    b",",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\x80",
    b"\xa0",
    b"\r\n\r\n",
    b"\r\n ",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n",
    b";a=\"b\\\"\"",
    b"ffffffffffffffff\r\n",
    b"0000000000000005\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
    b"HEAD ",
    b"OPTIONS * HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" HTTP/1.1\r\n",
    b" HTTP/1.2\r\n",
    b"http://a.test/",
    b"https://",
    b"[::1]:80",
    b"%00",
    b"%2F",
    b"%",
    b"?",
    b"#",
    b"@",
    b"Host: a.test\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Content_Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, gzip\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n",
    b"T: 1\r\n",
];

const RANGE_WORDS: &[&[u8]] = &[
    b"bytes=",
    b"Bytes=",
    b"lines=",
    b"0-",
    b"-1",
    b"0-0",
    b"5-4",
    b"-",
    b",",
    b" , ",
    b",,",
    b"0-,0-,0-,0-,0-,0-,0-,0-,",
    b"18446744073709551615",
    b"18446744073709551616",
];

/// What the clients of the cases send, also behind a good request.
fn requests() -> Vec<Vec<u8>> {
    let good = b"GET /good HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let alone: Vec<Vec<u8>> = load_cases()
        .iter()
        .map(|case| case.pieces().concat())
        .collect();
    let behind = alone.iter().map(|request| [&good[..], request].concat());
    behind.chain(alone.iter().cloned()).collect()
}

fn from_request(target: &str, request: &[u8]) -> Option<Vec<u8>> {
    match target {
        "head" | "connection" => Some(request.to_vec()),
        "chunked" => {
            let body = memchr::memmem::find(request, b"\r\n\r\n")? + 4;
            let head = request[..body].to_ascii_lowercase();
            memchr::memmem::find(&head, b"chunked")?;
            Some(request[body..].to_vec())
        }
        "target" => {
            let head = reference::request_head(request).ok()?;
            let host = head
                .fields
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("host"))
                .map(|(_, value)| &value[..]);
            Some([&head.target[..], b"\n", host.unwrap_or_default()].concat())
        }
        _ => None,
    }
}

/// Ranges of representations of several lengths, good and odd ones, and lists of them.
fn ranges() -> Vec<Vec<u8>> {
    let sets = [
        "0-499",
        "500-",
        "-500",
        "-0",
        "0-0,-1",
        "0-999, 4500-5499, -1000",
        "500-600,601-999",
        "0-0,5000-5000,0-4999",
        "9000-,100-200,0-50",
        "5-4",
        "-",
        ",,1-2,",
        "1-2-3",
        "a-b",
        "",
    ];
    let many = (0..70)
        .map(|at| format!("{0}-{0},", at * 100))
        .collect::<String>();
    let values = sets
        .iter()
        .map(|set| format!("bytes={set}"))
        .chain([format!("bytes={many}")]);
    values
        .flat_map(|value| {
            [0u16, 1, 600, 10_000]
                .map(|length| [&length.to_be_bytes()[..], value.as_bytes()].concat())
        })
        .collect()
}

/// Choices of applications: each status with each name and value that means something.
fn applications() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for status in 0..STATUSES.len() as u8 {
        for (version, is_head) in [(0, 0), (1, 0), (0, 3)] {
            let plain = [version, is_head, 0, 0, 1, status];
            for name in 0..NAMES.len() as u8 {
                for value in 0..VALUES.len() as u8 {
                    let fields = [2, 1, name, 1, value, 1, 14, 1, 9];
                    let blocks = b"\x00\x00\x03\x03abc\x00\x02de\x00";
                    seeds.push([&plain[..], &fields, blocks].concat());
                }
            }
        }
    }
    // A route that sets a field, and one that removes it.
    for name in 0..NAMES.len() as u8 {
        for value in 0..VALUES.len() as u8 {
            for removes in [0, 1] {
                let plain = [0, 0, 0, 0, 1, 0, 1, 1, name, 1, 2];
                let blocks = b"\x00\x00\x01\x03abc\x00";
                seeds.push([&plain[..], blocks, &[1, 1, name, 1, value, removes]].concat());
            }
        }
    }
    seeds.push(b"\x00\x00\x00\x01\x00\x0d200 Good work\x01\x00\x03X-B\x00\x03a b\x01\x05\x00\x01\x05hello\x00".to_vec());
    seeds
}

/// Files with each key of a route, beside what it belongs to.
fn tables() -> impl Iterator<Item = String> {
    let applications: String = application_keys()
        .iter()
        .map(|key| format!("{} = {}\n", key.name, key.example))
        .collect();
    route_keys().iter().map(move |key| {
        let beside = match key.name {
            "app" | "files" | "redirect" | "answer" => "",
            "status" => "redirect = \"/\"\n",
            "body" => "answer = 503\n",
            "stream_body" => "app = \"a\"\n",
            _ => "files = \".\"\n",
        };
        let route = format!("{} = {}\n{beside}", key.name, key.example);
        format!("[apps.a]\n{applications}[[routes]]\n{route}[[routes]]\n{route}")
    })
}

/// Files with each option alone, and with all of them.
fn files() -> Vec<Vec<u8>> {
    let line = |key: &str, example: &str| match example.parse::<f64>() {
        Ok(_) => format!("{key} = {example}\n"),
        Err(_) if ["true", "false"].contains(&example) => format!("{key} = {example}\n"),
        Err(_) => format!("{key} = {example:?}\n"),
    };
    let lines: Vec<String> = options()
        .iter()
        .filter_map(|option| Some(line(&option.key()?, option.example)))
        .collect();
    let strange = [
        "bind = [\"127.0.0.1:8000\", \"unix:/run/kirsch.sock\", 8001]\n",
        "[limits]\nhead = \"32 KiB\"\n[timeouts]\nhead = 2.5\n",
        "limits = { body = 1_000, head = 0x8000 }\n",
        "threads = 1979-05-27\n",
        "threads = 99999999999999999999\n",
        "bind = [[[[[[[[1]]]]]]]]\n",
        "\u{feff}threads = 4\n",
        "thread = 4\n",
        "\"a\\nb\" = 1\n",
        "[tool.kirsch]\nthreads = 4\n",
    ];
    let mut files = vec![lines.concat()];
    files.extend(lines);
    files.extend(strange.map(str::to_owned));
    files.extend(tables());
    files.into_iter().map(String::into_bytes).collect()
}
