//! HTTP/1.0 and HTTP/1.1, the server's side, in the order a request meets it.

mod reader;

mod scan;

mod request_line;

mod target;

mod host;

mod fields;

mod framing;

mod head;

mod chunked;

mod response_head;

mod response_body;

pub use fields::Field;
pub use head::{BodyLength, Head, Method, RequestFacts, TargetForm, Version};
pub use reader::{BodyPart, RequestReader};
pub use response_body::{Ended, Framed, Outcome, Prefix, ResponseBody};
pub use response_head::{CONTINUE, CommonFields, ResponseHead};
pub(crate) use response_head::{push_common, push_connection, push_field, push_length};
