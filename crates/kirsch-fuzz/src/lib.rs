//! What must hold for any bytes: the bodies of the fuzz targets, as plain functions that panic.
//!
//! `tests/targets.rs` runs them over the conformance cases and mutations of them, in `make test`;
//! the thin programs in `fuzz/` run them under libFuzzer, in `make fuzz`.
//!
//! | target | input | what must hold |
//! |---|---|---|
//! | `head` | a request head | the same verdict however it is cut, a strict grammar for what is accepted, limits |
//! | `target` | a target, a line end, a Host | parts and host as the grammar has them; good ones are accepted |
//! | `chunked` | a chunked body | cuts, the body a second decoder finds, and ours coded and decoded again |
//! | `connection` | all that a client sends | cuts, and a second reader sees the same requests end at the same bytes |
//! | `response` | choices of an application | nothing it gives, and nothing a route changes in its fields, can break the framing: a strict reader finds what it gave |
//! | `range` | a length and a Range field | what is asked for is sent, once, and nothing that was not; several parts are packed as announced |
//! | `options` | a TOML file | settings, or one message with the line it stands on |
//!
//! The second opinions stand in [`reference`]: written from the RFCs, and sharing no line with what is tested.

#![forbid(unsafe_code)]

pub mod reference;

mod choices;
mod chunked;
mod connection;
mod head;
mod mutation;
mod options;
mod range;
mod response;
mod seeds;
mod splits;
mod target;

pub use mutation::Mutator;
pub use seeds::{dictionary, seeds};

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its program in `fuzz/`.
    pub name: &'static str,
    /// Tries one input; panics if what must hold does not.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "head",
        run: head::run,
    },
    Target {
        name: "target",
        run: target::run,
    },
    Target {
        name: "chunked",
        run: chunked::run,
    },
    Target {
        name: "connection",
        run: connection::run,
    },
    Target {
        name: "response",
        run: response::run,
    },
    Target {
        name: "range",
        run: range::run,
    },
    Target {
        name: "options",
        run: options::run,
    },
];

/// The target of this name.
///
/// # Panics
///
/// If there is none.
pub fn target(name: &str) -> Target {
    TARGETS
        .into_iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("there is no target {name:?}"))
}
