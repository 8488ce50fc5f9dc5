//! What requests for representations mean, in every version of HTTP (RFC 9110): dates, entity tags,
//! preconditions, ranges and the choice of a content coding.
//!
//! Nothing in here reads a clock or a file: who serves a representation says what it is, and is told
//! what the request wants of it. In the order of a request: [`AcceptEncoding`] chooses the representation,
//! [`Preconditions`] decide whether it is sent, [`Wanted`] which bytes of it, and [`Multipart`] how
//! several parts are packed.

mod accept_encoding;
mod date;
mod entity_tag;
mod list;
mod multipart;
mod preconditions;
mod ranges;

pub use accept_encoding::AcceptEncoding;
pub use date::HttpDate;
pub use entity_tag::{EntityTag, Strength};
pub(crate) use list::elements;
pub use multipart::Multipart;
pub use preconditions::{LastModified, Preconditions, Validators, Verdict};
pub use ranges::{ByteRange, MOST_RANGES, Wanted, unsatisfied};
