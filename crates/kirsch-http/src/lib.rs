//! HTTP/1.x as a pure state machine: bytes in, events out. No I/O, no clock, no log.
//!
//! The journey of one exchange through this crate:
//!
//! 1. [`RequestReader::next_head`] finds the end of the head (`h1/scan.rs`), reads the request line
//!    (`h1/request_line.rs`, `h1/target.rs`), the fields (`h1/fields.rs`, the only file that knows
//!    httparse) and decides how long the body is (`h1/framing.rs`).
//! 2. [`RequestReader::next_body`] says which of the following bytes are body (`h1/chunked.rs`).
//! 3. The gateway fills a [`ResponseHead`] (`h1/response_head.rs`), which validates while it copies.
//! 4. [`ResponseHead::finish`] decides the framing of the answer; the [`ResponseBody`] it returns says
//!    what each block becomes on the wire (`h1/response_body.rs`).
//! 5. [`RequestReader::restart`], and the next request on the connection begins.
//!
//! What a peer may do wrong is a closed enum, [`ProtocolErrorKind`], and one table in `error.rs` says
//! for each kind: status, log level, fate of the connection, and the text that names the rule.
//!
//! Beside it stand the rules that are the same in every version of HTTP, for who serves files and the like:
//! `semantics/` has dates, entity tags, preconditions, ranges and the choice of a content coding.
//!
//! **Invariant:** the crate keeps no byte of the request. A [`Head`] holds offsets into the buffer of
//! the caller, which stays the only owner.
//!
//! Read next: `h1/reader.rs`.

#![forbid(unsafe_code)]

mod chars;
mod dialect;
mod error;
mod error_response;
mod field_edits;
mod field_name;
mod h1;
mod limits;
mod path;
mod semantics;
mod span;

pub use chars::is_token_slice as is_token;
pub use dialect::Dialect;
pub use error::{
    Blame, Fate, ProtocolError, ProtocolErrorKind, ResponseError, Rule, Severity, Status,
};
pub use error_response::{ErrorAnswer, error_response};
pub use field_edits::FieldEdits;
pub use field_name::FieldName;
pub use h1::{
    BodyLength, BodyPart, CONTINUE, CommonFields, Ended, Field, Framed, Head, Method, Outcome,
    Prefix, RequestFacts, RequestReader, ResponseBody, ResponseHead, TargetForm, Version,
    authority_port, is_authority,
};
pub use limits::Limits;
pub use path::{decode_path, decode_path_but_slashes, encode_target};
pub use semantics::{
    AcceptEncoding, ByteRange, EntityTag, HttpDate, LastModified, MOST_RANGES, Multipart,
    Preconditions, Strength, Validators, Verdict, Wanted, unsatisfied,
};
pub use span::Span;
