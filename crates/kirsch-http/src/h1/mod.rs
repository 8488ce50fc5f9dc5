//! HTTP/1.0 and HTTP/1.1, the server's side.
//!
//! In the order a request meets them: `reader` (the states of a connection), `scan` (where the
//! head ends), `request_line`, `target` and `host`, `fields` (httparse), `framing` (how long the
//! body is), `head` (what comes of it), `chunked`; then the response's `response_head`,
//! `rewriting`, `content_coding`, `server_fields` and `response_body`.

mod chunked;
mod content_coding;
mod fields;
mod framing;
mod head;
mod host;
mod reader;
mod request_line;
mod response_body;
mod response_head;
mod rewriting;
mod scan;
mod server_fields;
mod target;

pub use fields::Field;
pub use head::{BodyLength, Head, Method, RequestFacts, TargetForm, Version};
pub use host::{authority_port, is_authority};
pub use reader::{BodyPart, RequestReader};
pub use response_body::{Ended, Framed, Outcome, Prefix, ResponseBody};
pub(crate) use response_head::is_servers_own;
pub use response_head::{CONTINUE, ResponseHead};
pub use server_fields::CommonFields;
pub(crate) use server_fields::{push_common, push_connection, push_field, push_length};
