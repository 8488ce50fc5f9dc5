//! A chunked body: the same however it is cut, the same as a second decoder finds, within the limits;
//! and what we code ourselves is decoded to what was coded.

use kirsch_http::{
    BodyPart, CommonFields, Limits, Outcome, ProtocolErrorKind, RequestFacts, RequestReader,
    ResponseHead, Version,
};

use crate::choices::Choices;
use crate::head::TIGHT;
use crate::reference::{self, Chunked};
use crate::splits::splits;

/// Up to here no limit but that of the body can be reached.
const WITHIN_LIMITS: usize = 8 * 1024;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What was decoded, and how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Decoded {
    body: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Whole { len: usize },
    More,
    Refused(ProtocolErrorKind),
}

pub(crate) fn run(bytes: &[u8]) {
    for limits in [Limits::default(), TIGHT] {
        let whole = decode(bytes, &limits, &[bytes.len()]);
        for ends in splits(bytes) {
            let cut = decode(bytes, &limits, &ends);
            assert_eq!(
                cut,
                whole,
                "pieces that end at {ends:?}: {}",
                bytes.escape_ascii()
            );
        }
        assert!(whole.body.len() as u64 <= limits.body_bytes);
        if let End::Whole { len } = whole.end {
            let body = whole.body;
            assert_eq!(reference::chunked(bytes), Chunked::Whole { body, len });
        }
    }
    if bytes.len() <= WITHIN_LIMITS
        && let Chunked::Whole { body, len } = reference::chunked(bytes)
    {
        let ours = decode(bytes, &Limits::default(), &[bytes.len()]);
        let end = End::Whole { len };
        assert_eq!(ours, Decoded { body, end }, "a good body is read");
    }
    round_trip(bytes);
}

/// Decodes a body that arrives in pieces.
fn decode(coded: &[u8], limits: &Limits, ends: &[usize]) -> Decoded {
    let mut reader = RequestReader::new();
    let parsed = reader.next_head(HEAD, limits, &mut Vec::new());
    assert!(matches!(parsed, Ok(Some(_))));
    let (mut body, mut start) = (Vec::new(), 0);
    let done = |body, end| Decoded { body, end };
    for &end in ends {
        loop {
            match reader.next_body(&coded[start..end]) {
                Ok(BodyPart::Data { skip, len }) => {
                    assert!(len > 0);
                    body.extend_from_slice(&coded[start + skip..start + skip + len]);
                    start += skip + len;
                }
                Ok(BodyPart::NeedMore { consume }) => {
                    start += consume;
                    assert_eq!(start, end, "nothing is kept while more is awaited");
                    break;
                }
                Ok(BodyPart::End { consume }) => {
                    assert!(reader.is_body_done());
                    return done(
                        body,
                        End::Whole {
                            len: start + consume,
                        },
                    );
                }
                Err(error) => {
                    assert_eq!(
                        reader.next_body(b"0\r\n\r\n"),
                        Err(error),
                        "an error is final"
                    );
                    return done(body, End::Refused(error.kind));
                }
            }
        }
    }
    done(body, End::More)
}

/// Takes the bytes for an application's blocks.
fn round_trip(bytes: &[u8]) {
    let request = RequestFacts {
        version: Version::Http11,
        is_head: false,
        keep_alive: true,
    };
    let common = CommonFields {
        date: b"",
        server: None,
        request_id: None,
        keep_alive: None,
    };
    let mut head = ResponseHead::new();
    head.status(b"200 OK").expect("it is good");
    let mut framing = head.finish(&request, None, &common, true);
    let (mut coded, mut body) = (Vec::new(), Vec::new());
    let mut choices = Choices::new(bytes);
    for _ in 0..8 {
        let block = choices.bytes(255);
        let framed = framing.frame(block.len());
        coded.extend_from_slice(&framed.prefix);
        coded.extend_from_slice(&block[..framed.take]);
        coded.extend_from_slice(framed.suffix);
        body.extend_from_slice(block);
    }
    let ended = framing.end();
    assert_eq!(ended.outcome, Outcome::Complete);
    coded.extend_from_slice(ended.tail);
    let len = coded.len();
    for ends in splits(&coded) {
        let decoded = decode(&coded, &Limits::default(), &ends);
        let end = End::Whole { len };
        assert_eq!(
            decoded,
            Decoded {
                body: body.clone(),
                end
            }
        );
    }
    assert_eq!(reference::chunked(&coded), Chunked::Whole { body, len });
}
