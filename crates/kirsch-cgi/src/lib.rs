//! The gateway for CGI/1.1 (RFC 3875): each request is answered by a process of its own.
//!
//! # The journey of a request
//!
//! 1. [`Cgi`] is asked; beyond the limit of processes it answers 503 (`gateway.rs`).
//! 2. `place.rs` walks the path below the mount through the folder to a script, and what is left is `PATH_INFO`.
//! 3. `environment.rs` writes down the request as section 4.1 wants it.
//! 4. `process.rs` starts the script in a group of its own, never through a shell,
//! 5. and `conversation.rs` moves bytes: the body to its input (`input.rs`), its output to the client, its errors to the
//!    log, until it ends, the client leaves or the time is over.
//! 6. `answer.rs` reads the head that the script wrote: a document, or a redirect to the client or to another script.
//!
//! A script is trusted as far as its folder is: it runs as the server's user. It is not trusted to end, to read, to
//! write sense, or to be alone.

#![forbid(unsafe_code)]

mod answer;
mod conversation;
mod environment;
mod gateway;
mod input;
mod place;
mod process;

pub use gateway::{Cgi, Limits};
