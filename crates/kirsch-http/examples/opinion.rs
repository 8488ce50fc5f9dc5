//! What Kirsch makes of byte streams: it reads them from standard input and answers each with a
//! line of JSON. `tests/support/opinions.py` compares the answers with those of other parsers.
//!
//! It asks the reader that the server asks, and knows no socket: so a hundred thousand streams
//! take seconds.
//!
//! A stream is its length, four bytes in little endian, then its bytes. An answer is
//! `{"requests": [[method, target, body, end], …], "ending": …}`. Bytes are characters of Latin-1,
//! `end` is the offset behind the request, and `ending` says what became of the rest:
//!
//! | ending | the rest |
//! |---|---|
//! | `idle` | there is none, or only empty lines; another request may follow |
//! | `partial` | the beginning of a request |
//! | `closed` | is not looked at: the last request closes the connection |
//! | the name of a rule | breaks that rule |

use std::fmt::Write as _;
use std::io::{self, BufReader, Read, Write};

use kirsch_http::{BodyPart, Limits, ProtocolError, RequestReader};

fn main() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = io::stdout().lock();
    let (mut stream, mut answer) = (Vec::new(), String::new());
    while next_stream(&mut input, &mut stream)? {
        answer.clear();
        let opinion = Opinion::of(&stream);
        opinion.to_json(&mut answer).map_err(io::Error::other)?;
        answer.push('\n');
        output.write_all(answer.as_bytes())?;
        output.flush()?;
    }
    Ok(())
}

/// Reads the next stream; `false` if there is none.
fn next_stream(input: &mut impl Read, stream: &mut Vec<u8>) -> io::Result<bool> {
    let mut len = [0; 4];
    match input.read_exact(&mut len) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    }
    stream.resize(u32::from_le_bytes(len) as usize, 0);
    input.read_exact(stream)?;
    Ok(true)
}

/// The requests in a stream, and what became of the rest.
struct Opinion {
    requests: Vec<Request>,
    ending: Ending,
}

/// A request that was read to its end.
#[derive(Default)]
struct Request {
    method: Vec<u8>,
    target: Vec<u8>,
    body: Vec<u8>,
    /// The offset of the first byte behind it.
    end: usize,
    keep_alive: bool,
}

enum Ending {
    Idle,
    Partial,
    Closed,
    Refused(ProtocolError),
}

impl Opinion {
    fn of(stream: &[u8]) -> Self {
        let (mut reader, mut requests, mut at) = (RequestReader::new(), Vec::new(), 0);
        let ending = loop {
            let request = match next_request(&mut reader, stream, at) {
                Ok(Some(request)) => request,
                Ok(None) if reader.is_idle(&stream[at..]) => break Ending::Idle,
                Ok(None) => break Ending::Partial,
                Err(error) => break Ending::Refused(error),
            };
            let keep_alive = request.keep_alive;
            at = request.end;
            requests.push(request);
            if !keep_alive {
                break Ending::Closed;
            }
            reader.restart();
        };
        Opinion { requests, ending }
    }

    fn to_json(&self, out: &mut String) -> std::fmt::Result {
        out.push_str("{\"requests\": [");
        for (idx, request) in self.requests.iter().enumerate() {
            out.push_str(if idx == 0 { "[" } else { ", [" });
            for bytes in [&request.method, &request.target, &request.body] {
                push_string(bytes, out)?;
                out.push_str(", ");
            }
            write!(out, "{}]", request.end)?;
        }
        out.push_str("], \"ending\": ");
        match &self.ending {
            Ending::Idle => out.push_str("\"idle\""),
            Ending::Partial => out.push_str("\"partial\""),
            Ending::Closed => out.push_str("\"closed\""),
            Ending::Refused(error) => write!(out, "\"{:?}\"", error.kind)?,
        }
        out.push('}');
        Ok(())
    }
}

/// The request that begins at `at`; `None` if it is not whole.
fn next_request(
    reader: &mut RequestReader,
    stream: &[u8],
    mut at: usize,
) -> Result<Option<Request>, ProtocolError> {
    let rest = &stream[at..];
    let Some(head) = reader.next_head(rest, &Limits::default(), &mut Vec::new())? else {
        return Ok(None);
    };
    let mut request = Request {
        method: head.method_name.of(rest).to_vec(),
        target: head.target.of(rest).to_vec(),
        keep_alive: head.keep_alive,
        ..Request::default()
    };
    at += head.len as usize;
    loop {
        match reader.next_body(&stream[at..])? {
            BodyPart::Data { skip, len } => {
                let body = &stream[at + skip..at + skip + len];
                request.body.extend_from_slice(body);
                at += skip + len;
            }
            BodyPart::NeedMore { .. } => return Ok(None),
            BodyPart::End { consume } => {
                request.end = at + consume;
                return Ok(Some(request));
            }
        }
    }
}

/// Bytes as a string of JSON, a character each.
fn push_string(bytes: &[u8], out: &mut String) -> std::fmt::Result {
    out.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => write!(out, "\\{}", char::from(byte))?,
            b' '..=b'~' => out.push(char::from(byte)),
            _ => write!(out, "\\u{byte:04x}")?,
        }
    }
    out.push('"');
    Ok(())
}
