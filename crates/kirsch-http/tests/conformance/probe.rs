//! The probe application of `conformance/probe_app.py`, in Rust: it remembers what reached it,
//! and answers well or badly as the path asks. Requests become environ entries as in the WSGI gateway.

use std::collections::BTreeMap;

use kirsch_http::{Field, FieldName, Head, TargetForm, Version, decode_path};

/// What the application received.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    pub path: String,
    pub environ: BTreeMap<String, String>,
    pub body: String,
}

/// A request as the application sees it.
pub struct Request {
    environ: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What the application answers.
pub struct Response {
    pub status: &'static str,
    pub fields: Vec<(&'static str, &'static str)>,
    pub blocks: Vec<Vec<u8>>,
    /// A list, whose length is known, or a generator.
    pub is_list: bool,
    /// The generator raises behind its last block.
    pub raises_at_end: bool,
}

/// The application.
#[derive(Default)]
pub struct Probe {
    pub log: Vec<Record>,
}

impl Request {
    pub fn new(head: &Head, buf: &[u8], fields: &[Field]) -> Self {
        let mut environ = BTreeMap::new();
        for field in fields {
            add_field(&mut environ, buf, field);
        }
        let mut set = |key: &str, value: &[u8]| environ.insert(key.to_owned(), latin1(value));
        if let (Some(authority), TargetForm::Absolute) = (head.authority, head.form) {
            set("HTTP_HOST", authority.of(buf));
        }
        let mut path = Vec::new();
        decode_path(head.path.of(buf), &mut path);
        if path.is_empty() {
            path.push(b'/');
        }
        set("REQUEST_METHOD", head.method_name.of(buf));
        set("PATH_INFO", &path);
        set("QUERY_STRING", head.query.of(buf));
        set("RAW_URI", head.target.of(buf));
        set("REQUEST_URI", head.target.of(buf));
        set("wsgi.url_scheme", b"http");
        set(
            "SERVER_PROTOCOL",
            match head.version {
                Version::Http10 => b"HTTP/1.0",
                Version::Http11 => b"HTTP/1.1",
            },
        );
        Request {
            environ,
            body: Vec::new(),
        }
    }
}

fn add_field(environ: &mut BTreeMap<String, String>, buf: &[u8], field: &Field) {
    let name = latin1(field.name.of(buf)).to_uppercase().replace('-', "_");
    let (key, separator) = match field.known {
        FieldName::Dropped => return,
        FieldName::ContentType | FieldName::ContentLength => (name, ", "),
        FieldName::Cookie => (format!("HTTP_{name}"), "; "),
        _ => (format!("HTTP_{name}"), ", "),
    };
    let value = latin1(field.value.of(buf));
    environ
        .entry(key)
        .and_modify(|first| {
            first.push_str(separator);
            first.push_str(&value);
        })
        .or_insert(value);
}

impl Probe {
    /// Answers a request; `None` if the application raises.
    pub fn call(&mut self, request: &Request) -> Option<Response> {
        let path = request.environ["PATH_INFO"].clone();
        let reads = !matches!(path.as_str(), "/noread" | "/raise" | "/early413");
        let body = if reads {
            latin1(&request.body)
        } else {
            String::new()
        };
        let response = respond(&path, &request.body);
        self.log.push(Record {
            path,
            environ: request.environ.clone(),
            body,
        });
        response
    }
}

fn respond(path: &str, body: &[u8]) -> Option<Response> {
    let response = match path {
        "/raise" => return None,
        "/early413" => ok("413 Content Too Large", &[]),
        "/s204" => list("204 No Content", &[], &[]),
        "/s204body" => list("204 No Content", &[], &[b"stray"]),
        "/s204len" => list("204 No Content", &[("Content-Length", "5")], &[]),
        "/s304" => list("304 Not Modified", &[], &[]),
        "/s304len" => list(
            "304 Not Modified",
            &[("ETag", "\"a\""), ("Content-Length", "5")],
            &[],
        ),
        "/s206" => list(
            "206 Partial Content",
            &[("Content-Length", "3"), ("Content-Range", "bytes 2-4/10")],
            &[b"cde"],
        ),
        "/s401" => list(
            "401 Unauthorized",
            &[
                ("Content-Length", "0"),
                ("WWW-Authenticate", "Basic realm=\"x, y\""),
            ],
            &[],
        ),
        "/s404" => list("404 Not Found", &[("Content-Length", "7")], &[b"no such"]),
        "/s599" => ok("599 Our Own", &[]),
        "/s205" => list("205 Reset Content", &[("Content-Length", "0")], &[]),
        "/s302" => list(
            "302 Found",
            &[("Content-Length", "0"), ("Location", "/x")],
            &[],
        ),
        "/s100" => list("100 Continue", &[], &[]),
        "/stream" => generator(&[b"a", b"bb", b"ccc"]),
        "/stream_raise" => Response {
            raises_at_end: true,
            ..generator(&[b"a", b"b"])
        },
        "/stream_empty_chunks" => generator(&[b"a", b"", b"b", b""]),
        "/cl_short" => list("200 OK", &[("Content-Length", "10")], &[b"abc"]),
        "/cl_long" => list("200 OK", &[("Content-Length", "3")], &[b"abcdef"]),
        "/hdr_crlf" => list("200 OK", &[("X-A", "a\r\nInjected: 1")], &[b"x"]),
        "/hdr_te" => list(
            "200 OK",
            &[("Transfer-Encoding", "chunked"), ("Connection", "close")],
            &[b"x"],
        ),
        "/hdr_badcl" => list("200 OK", &[("Content-Length", "+1")], &[b"x"]),
        "/own_date_server" => ok(
            "200 OK",
            &[
                ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("Server", "mine"),
            ],
        ),
        "/status_noreason" => ok("299 ", &[]),
        "/two_blocks" => list("200 OK", &[], &[b"abc", b"de"]),
        "/cl_twice" => ok("200 OK", &[("Content-Length", "2")]),
        "/cl_conflict" => ok("200 OK", &[("Content-Length", "3")]),
        "/conn_close" => ok("200 OK", &[("Connection", "close")]),
        "/hdr_keepalive" => ok("200 OK", &[("Keep-Alive", "timeout=5")]),
        "/hdr_order" => ok(
            "200 OK",
            &[("X-B", "1"), ("x-a", "2"), ("X-B", "3"), ("X-Empty", "")],
        ),
        "/hdr_case" => list(
            "200 OK",
            &[
                ("cOnTeNt-LeNgTh", "2"),
                ("dAtE", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ],
            &[b"ok"],
        ),
        "/two_cookies" => ok("200 OK", &[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
        "/respond_then_read" => generator(&[b"start", body]),
        _ => ok("200 OK", &[]),
    };
    Some(response)
}

fn ok(status: &'static str, more: &[(&'static str, &'static str)]) -> Response {
    let fields = [
        &[("Content-Type", "text/plain"), ("Content-Length", "2")],
        more,
    ]
    .concat();
    list(status, &fields, &[b"ok"])
}

fn list(
    status: &'static str,
    fields: &[(&'static str, &'static str)],
    blocks: &[&[u8]],
) -> Response {
    let blocks = blocks.iter().map(|block| block.to_vec()).collect();
    Response {
        status,
        fields: fields.to_vec(),
        blocks,
        is_list: true,
        raises_at_end: false,
    }
}

fn generator(blocks: &[&[u8]]) -> Response {
    Response {
        is_list: false,
        ..list("200 OK", &[("Content-Type", "text/plain")], blocks)
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
