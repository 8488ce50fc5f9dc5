//! Looks for the end of a head, and remembers how far it has looked.
//!
//! Bytes are judged strictly in their order, so that a request gets the same verdict however the
//! network cuts it. The request line is parsed as soon as its line end is there: whoever does not
//! speak HTTP hears so at once, not after the timeout. Fields are not looked at here, but every
//! line end is: httparse would accept a bare LF.

use crate::chars;
use crate::dialect::Dialect;
use crate::error::{ProtocolError, ProtocolErrorKind};
use crate::limits::Limits;

use super::request_line::{self, RequestLine};

/// RFC 9112 section 2.2 asks to ignore "at least one empty line"; old clients send one behind a body.
const EMPTY_LINES: u8 = 2;

/// The first byte of a TLS record that holds a handshake; never the first byte of a method.
const TLS_HANDSHAKE: u8 = 0x16;

/// How far the search for the end of the head has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Empty lines skipped so far.
    empty_lines: u8,
    /// Where the request line begins.
    start: usize,
    /// Where the line begins whose end has not been found.
    line_start: usize,
    /// Everything before this offset has been searched.
    scanned: usize,
    /// The request line, once it is complete.
    line: Option<RequestLine>,
}

/// A whole head is in the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) line: RequestLine,
    /// The offset behind the empty line that ends the head.
    pub(super) end: usize,
}

impl Scan {
    /// Goes on with the search; `buf` begins where it began at the first call.
    pub(super) fn advance(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        secured: bool,
        dialect: Dialect,
    ) -> Result<Option<Found>, ProtocolError> {
        // What lies beyond the limit is not looked at: it must not matter whether it has arrived.
        let window = &buf[..buf.len().min(limits.head_bytes as usize)];
        if let Some(found) = self.search(window, limits, secured, dialect)? {
            return Ok(Some(found));
        }
        if buf.len() > window.len() {
            return Err(self.error(ProtocolErrorKind::HeadTooLarge));
        }
        Ok(None)
    }

    /// Whether the peer may go away now: nothing but empty lines has come.
    pub(super) fn nothing_begun(buffered: &[u8]) -> bool {
        let lines = 2 * usize::from(EMPTY_LINES);
        b"\r\n\r\n"[..lines].starts_with(buffered)
    }

    fn search(
        &mut self,
        window: &[u8],
        limits: &Limits,
        secured: bool,
        dialect: Dialect,
    ) -> Result<Option<Found>, ProtocolError> {
        if !self.has_begun(window)? {
            return Ok(None);
        }
        for lf in memchr::memchr_iter(b'\n', &window[self.scanned..]).map(|at| at + self.scanned) {
            if self.line.is_none() {
                request_line::check_limits(&window[self.start..lf], limits)?;
            }
            if window[lf - 1] != b'\r' {
                return Err(self.error(ProtocolErrorKind::BareLf));
            }
            match self.line {
                None => {
                    let line = &window[..lf - 1];
                    self.line = Some(request_line::parse(line, self.start, secured, dialect)?);
                }
                Some(line) if lf - 1 == self.line_start => {
                    return Ok(Some(Found { line, end: lf + 1 }));
                }
                Some(_) => {}
            }
            self.line_start = lf + 1;
        }
        self.scanned = window.len();
        if self.line.is_none() {
            request_line::check_limits(&window[self.start..], limits)?;
        }
        Ok(None)
    }

    /// Skips empty lines; whether the first byte of a request is there.
    fn has_begun(&mut self, window: &[u8]) -> Result<bool, ProtocolError> {
        if self.scanned > self.start {
            return Ok(true);
        }
        loop {
            match &window[self.start..] {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] if self.empty_lines == EMPTY_LINES => {
                    return Err(ProtocolErrorKind::TooManyEmptyLines.into());
                }
                [b'\r', b'\n', ..] => {
                    self.empty_lines += 1;
                    self.start += 2;
                    self.line_start = self.start;
                    self.scanned = self.start;
                }
                [b'\r', ..] => return Err(ProtocolErrorKind::BareCr.into()),
                [b'\n', ..] => return Err(ProtocolErrorKind::BareLf.into()),
                [TLS_HANDSHAKE, ..] => return Err(ProtocolErrorKind::TlsOnPlainPort.into()),
                [first, ..] if !chars::is_token(*first) => {
                    return Err(ProtocolErrorKind::MethodInvalid.into());
                }
                [_, ..] => return Ok(true),
            }
        }
    }

    /// The request line, once it has arrived and is sound.
    pub(super) fn line(&self) -> Option<RequestLine> {
        self.line
    }

    pub(super) fn error(&self, kind: ProtocolErrorKind) -> ProtocolError {
        ProtocolError {
            kind,
            method: self.line.map(|line| line.method),
        }
    }
}
