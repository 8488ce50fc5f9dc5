//! All that a client sends on one connection: the same however it is cut, and a second reader sees
//! the same requests, each ending at the same byte.

use kirsch_http::{
    BodyPart, CommonFields, ErrorAnswer, Field, Head, Limits, Method, ProtocolError, RequestFacts,
    RequestReader, ResponseHead, error_response,
};

use crate::head::TIGHT;
use crate::reference::{self, BodyLength, Chunked, Ending};
use crate::splits::splits;

const COMMON: CommonFields<'_> = CommonFields {
    date: b"Sun, 06 Nov 1994 08:49:37 GMT",
    server: Some(b"Kirsch"),
    request_id: None,
    keep_alive: None,
};

pub(crate) fn run(bytes: &[u8]) {
    for limits in [Limits::default(), TIGHT] {
        let whole = converse(bytes, &limits, &[bytes.len()]);
        for ends in splits(bytes) {
            let cut = converse(bytes, &limits, &ends);
            assert_eq!(
                cut,
                whole,
                "pieces that end at {ends:?}: {}",
                bytes.escape_ascii()
            );
        }
        check_requests(bytes, &whole);
        check_answers(&whole);
    }
}

/// All that must not depend on how the bytes arrive.
#[derive(PartialEq, Debug)]
struct Conversation {
    requests: Vec<Request>,
    sent: Vec<u8>,
    fate: Fate,
}

#[derive(Clone, PartialEq, Debug)]
struct Request {
    method: Vec<u8>,
    target: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    is_head: bool,
    keep_alive: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    Open,
    /// Behind an answer that said so.
    Closed,
    /// Behind the answer to a broken rule.
    Refused(ProtocolError),
}

fn converse(bytes: &[u8], limits: &Limits, ends: &[usize]) -> Conversation {
    let mut connection = Connection::new(limits);
    let mut start = 0;
    for &end in ends {
        connection.receive(&bytes[start..end]);
        start = end;
    }
    connection.conversation
}

/// A connection without a socket, whose application answers with the body it got.
struct Connection<'a> {
    reader: RequestReader,
    limits: &'a Limits,
    inbox: Vec<u8>,
    fields: Vec<Field>,
    exchange: Option<(RequestFacts, Request)>,
    conversation: Conversation,
}

impl<'a> Connection<'a> {
    fn new(limits: &'a Limits) -> Self {
        Connection {
            reader: RequestReader::new(),
            limits,
            inbox: Vec::new(),
            fields: Vec::new(),
            exchange: None,
            conversation: Conversation {
                requests: Vec::new(),
                sent: Vec::new(),
                fate: Fate::Open,
            },
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        if self.conversation.fate != Fate::Open {
            return;
        }
        self.inbox.extend_from_slice(bytes);
        let advanced = loop {
            match self.advance() {
                Ok(true) if self.conversation.fate == Fate::Open => {}
                other => break other,
            }
        };
        if let Err(error) = advanced {
            error_response(
                &ErrorAnswer::from(error),
                &COMMON,
                &mut self.conversation.sent,
            );
            self.conversation.fate = Fate::Refused(error);
        }
        // While a head is awaited, no more than a head is kept; while a body is, nothing.
        let most = match self.exchange {
            None => self.limits.head_bytes as usize,
            Some(_) => 0,
        };
        assert!(self.conversation.fate != Fate::Open || self.inbox.len() <= most);
    }

    /// One step; whether there may be another.
    fn advance(&mut self) -> Result<bool, ProtocolError> {
        let Some((facts, request)) = &mut self.exchange else {
            let Some(head) = self
                .reader
                .next_head(&self.inbox, self.limits, &mut self.fields)?
            else {
                return Ok(false);
            };
            self.exchange = Some((head.facts(), Request::new(&head, &self.inbox, &self.fields)));
            self.inbox.drain(..head.len as usize);
            return Ok(true);
        };
        match self.reader.next_body(&self.inbox)? {
            BodyPart::Data { skip, len } => {
                request
                    .body
                    .extend_from_slice(&self.inbox[skip..skip + len]);
                self.inbox.drain(..skip + len);
                Ok(true)
            }
            BodyPart::NeedMore { consume } => {
                self.inbox.drain(..consume);
                Ok(false)
            }
            BodyPart::End { consume } => {
                self.inbox.drain(..consume);
                let facts = *facts;
                if let Some((_, request)) = self.exchange.take() {
                    self.answer(&facts, request);
                }
                self.reader.restart();
                Ok(true)
            }
        }
    }

    /// Answers with the body: its length is said if it is even, otherwise it goes in chunks of seven bytes.
    fn answer(&mut self, facts: &RequestFacts, request: Request) {
        let known = request
            .body
            .len()
            .is_multiple_of(2)
            .then_some(request.body.len() as u64);
        let mut head = ResponseHead::new();
        head.status(b"200 OK").expect("it is good");
        let mut body = head.finish(facts, known, &COMMON, true);
        let sent = &mut self.conversation.sent;
        sent.extend_from_slice(head.bytes());
        for block in request.body.chunks(7) {
            let framed = body.frame(block.len());
            sent.extend_from_slice(&framed.prefix);
            sent.extend_from_slice(&block[..framed.take]);
            sent.extend_from_slice(framed.suffix);
        }
        sent.extend_from_slice(body.end().tail);
        if !body.keep_alive() {
            self.conversation.fate = Fate::Closed;
        }
        self.conversation.requests.push(request);
    }
}

impl Request {
    fn new(head: &Head, buf: &[u8], fields: &[Field]) -> Self {
        Request {
            method: head.method_name.of(buf).to_vec(),
            target: head.target.of(buf).to_vec(),
            fields: fields
                .iter()
                .map(|field| (field.name.of(buf).to_vec(), field.value.of(buf).to_vec()))
                .collect(),
            body: Vec::new(),
            is_head: head.method == Method::Head,
            keep_alive: head.keep_alive,
        }
    }
}

/// The second reader goes through the same bytes.
fn check_requests(bytes: &[u8], conversation: &Conversation) {
    let mut rest = bytes;
    for request in &conversation.requests {
        let head = match reference::request_head(rest) {
            Ok(head) => head,
            Err(text) => panic!("served, but {text}: {}", rest.escape_ascii()),
        };
        assert_eq!(head.method.as_bytes(), request.method);
        assert_eq!(head.target, request.target);
        assert_eq!(head.keep_alive, request.keep_alive);
        let fields = head
            .fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), &value[..]));
        let served = request
            .fields
            .iter()
            .map(|(name, value)| (&name[..], &value[..]));
        assert!(fields.eq(served), "{:?}", request.fields);
        rest = &rest[head.len..];
        let len = match head.body {
            BodyLength::None => 0,
            BodyLength::Known(len) => {
                let len = usize::try_from(len).expect("it was read");
                assert_eq!(request.body, rest[..len]);
                len
            }
            BodyLength::Chunked => match reference::chunked(rest) {
                Chunked::Whole { body, len } => {
                    assert_eq!(request.body, body);
                    len
                }
                other => panic!("served, but {other:?}: {}", rest.escape_ascii()),
            },
        };
        rest = &rest[len..];
    }
}

/// One answer for each request, in its order and with its body, and one for the rule that was broken.
fn check_answers(conversation: &Conversation) {
    let mut wire = &conversation.sent[..];
    let requests = &conversation.requests;
    for (idx, request) in requests.iter().enumerate() {
        let response = read_response(wire, request.is_head);
        wire = &wire[response.len..];
        let body: &[u8] = if request.is_head { b"" } else { &request.body };
        assert_eq!((response.status, &response.body[..]), (200, body));
        let is_last = idx + 1 == requests.len() && conversation.fate == Fate::Closed;
        let says_close = response.values("connection").contains(&&b"close"[..]);
        assert_eq!(says_close, is_last);
        assert!(response.ending == Ending::Framed || (is_last && wire.is_empty()));
    }
    if let Fate::Refused(error) = conversation.fate {
        let response = read_response(wire, error.method == Some(Method::Head));
        assert_eq!(response.status, error.rule().status.0);
        assert_eq!(response.values("connection"), [b"close"]);
        assert_eq!(
            (response.ending, response.len),
            (Ending::Framed, wire.len())
        );
        return;
    }
    assert!(wire.is_empty(), "no answer without a request");
}

fn read_response(wire: &[u8], is_head: bool) -> reference::Response {
    match reference::response(wire, is_head) {
        Ok(response) => response,
        Err(text) => panic!("{text}: {}", wire.escape_ascii()),
    }
}
