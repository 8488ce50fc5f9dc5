//! A connection without a socket: bytes in, bytes out, the probe application behind it.
//!
//! It reads each body to its end before it calls the application, as a route does that buffers,
//! and shows how the pieces of `kirsch-http` are meant to be put together.

use kirsch_http::{
    BodyPart, CONTINUE, CommonFields, ErrorAnswer, Field, Head, Limits, Outcome, ProtocolError,
    RequestReader, ResponseError, ResponseHead, Status, error_response,
};

use crate::probe::{Probe, Record, Request, Response};

const COMMON: CommonFields<'_> = CommonFields {
    date: b"Sun, 06 Nov 1994 08:49:37 GMT",
    server: Some(b"Kirsch"),
    request_id: None,
    keep_alive: None,
};

/// One connection.
pub struct Connection {
    reader: RequestReader,
    limits: Limits,
    inbox: Inbox,
    fields: Vec<Field>,
    /// The request whose body is being read.
    exchange: Option<(Head, Request)>,
    probe: Probe,
    sent: Vec<u8>,
    /// For each final response, whether it answered HEAD.
    heads: Vec<bool>,
    closed: bool,
}

impl Connection {
    pub fn new(limits: Limits) -> Self {
        Connection {
            reader: RequestReader::new(),
            limits,
            inbox: Inbox::default(),
            fields: Vec::new(),
            exchange: None,
            probe: Probe::default(),
            sent: Vec::new(),
            heads: Vec::new(),
            closed: false,
        }
    }

    /// Takes bytes from the peer, and answers what can be answered.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !self.closed {
            self.inbox.receive(bytes);
            while !self.closed && self.advance() {}
        }
    }

    /// The peer has closed its side.
    pub fn end_of_stream(&mut self) {
        if self.closed {
            return;
        }
        match self.reader.end_of_stream(self.inbox.bytes()) {
            Ok(()) => self.closed = true,
            Err(error) => self.refuse(error),
        }
    }

    pub fn sent(&self) -> &[u8] {
        &self.sent
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn was_head(&self, idx: usize) -> bool {
        self.heads[idx]
    }

    pub fn log(&self) -> &[Record] {
        &self.probe.log
    }

    pub fn into_log(self) -> Vec<Record> {
        self.probe.log
    }

    /// One step; whether another one is worth trying.
    fn advance(&mut self) -> bool {
        let advanced = match self.exchange.take() {
            None => self.read_head(),
            Some((head, request)) => self.read_body(head, request),
        };
        advanced.unwrap_or_else(|error| {
            self.refuse(error);
            false
        })
    }

    fn read_head(&mut self) -> Result<bool, ProtocolError> {
        let Some(head) =
            self.reader
                .next_head(self.inbox.bytes(), &self.limits, &mut self.fields)?
        else {
            return Ok(false);
        };
        let request = Request::new(&head, self.inbox.bytes(), &self.fields);
        self.inbox.consume(head.len as usize);
        if head.expect_continue && self.inbox.bytes().is_empty() {
            self.sent.extend_from_slice(CONTINUE);
        }
        self.exchange = Some((head, request));
        Ok(true)
    }

    fn read_body(&mut self, head: Head, mut request: Request) -> Result<bool, ProtocolError> {
        match self.reader.next_body(self.inbox.bytes())? {
            BodyPart::Data { skip, len } => {
                request
                    .body
                    .extend_from_slice(&self.inbox.bytes()[skip..skip + len]);
                self.inbox.consume(skip + len);
                self.exchange = Some((head, request));
                Ok(true)
            }
            BodyPart::NeedMore { consume } => {
                self.inbox.consume(consume);
                self.exchange = Some((head, request));
                Ok(false)
            }
            BodyPart::End { consume } => {
                self.inbox.consume(consume);
                self.answer(&head, &request);
                self.reader.restart();
                Ok(true)
            }
        }
    }

    fn answer(&mut self, head: &Head, request: &Request) {
        self.heads.push(head.facts().is_head);
        let sent = match self.probe.call(request) {
            Some(response) => self.send(head, &response),
            None => Err(ResponseError::StatusInvalid),
        };
        if sent.is_err() {
            let text = "the application failed";
            let answer = ErrorAnswer::new(Status(500), text).keeping(&head.facts());
            error_response(&answer, &COMMON, &mut self.sent);
            self.closed = !answer.keep_alive();
        }
    }

    fn send(&mut self, head: &Head, response: &Response) -> Result<(), ResponseError> {
        let mut response_head = ResponseHead::new();
        response_head.status(response.status.as_bytes())?;
        for (name, value) in &response.fields {
            response_head.field(name.as_bytes(), value.as_bytes())?;
        }
        let known = response
            .is_list
            .then(|| response.blocks.iter().map(|block| block.len() as u64).sum());
        let mut body = response_head.finish(&head.facts(), known, &COMMON, true);
        self.sent.extend_from_slice(response_head.bytes());
        for block in &response.blocks {
            let framed = body.frame(block.len());
            self.sent.extend_from_slice(&framed.prefix);
            self.sent.extend_from_slice(&block[..framed.take]);
            self.sent.extend_from_slice(framed.suffix);
        }
        if response.raises_at_end {
            self.closed = true;
            return Ok(());
        }
        let ended = body.end();
        self.sent.extend_from_slice(ended.tail);
        self.closed = ended.outcome != Outcome::Complete || !body.keep_alive();
        Ok(())
    }

    fn refuse(&mut self, error: ProtocolError) {
        let answer = ErrorAnswer::from(error);
        self.heads
            .push(error.method == Some(kirsch_http::Method::Head));
        error_response(&answer, &COMMON, &mut self.sent);
        self.closed = true;
    }
}

/// Bytes received and not consumed.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    consumed: usize,
}

impl Inbox {
    fn receive(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.consumed);
        self.consumed = 0;
        self.bytes.extend_from_slice(bytes);
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    fn consume(&mut self, len: usize) {
        self.consumed += len;
        assert!(
            self.consumed <= self.bytes.len(),
            "told to consume more than there is"
        );
    }
}
