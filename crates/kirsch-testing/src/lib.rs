//! What the tests of several crates share: the conformance cases, the places to cut a byte
//! stream at, and a reader for responses. It knows nothing of the crates under test.
//!
//! The format of the cases is described in `conformance/README.md`.

#![forbid(unsafe_code)]

mod case;
mod cuts;
mod wire;

pub use case::{AnyOf, Case, Config, Connection, Does, Expect, Step, WireCheck, load_cases};
pub use cuts::{cuts, pseudo_random};
pub use wire::{WireResponse, read_responses};
