//! What an option of a later version may be given in this one: that it is what it already is.
//!
//! The options themselves stand in `options.rs`.

use std::thread::available_parallelism;

use crate::value::KeywordValue;

/// Whether the number of workers asked for is the one process there is.
pub(crate) fn one_process(given: &KeywordValue) -> bool {
    match given {
        KeywordValue::None | KeywordValue::Int(1) => true,
        KeywordValue::Str(text) if text == "auto" => {
            available_parallelism().is_ok_and(|cores| cores.get() == 1)
        }
        KeywordValue::Str(text) => text == "1",
        _ => false,
    }
}

/// Whether a number of workers could ever be that.
pub(crate) fn could_be_workers(given: &KeywordValue) -> bool {
    match given {
        KeywordValue::Str(text) => {
            text == "auto" || text.parse::<u32>().is_ok_and(|count| count > 0)
        }
        KeywordValue::Int(count) => *count > 0,
        KeywordValue::None => true,
        _ => false,
    }
}

/// Whether something that a later version will have is turned off, which it is.
pub(crate) fn says_no(given: &KeywordValue) -> bool {
    match given {
        KeywordValue::None | KeywordValue::Bool(false) => true,
        KeywordValue::Str(text) => matches!(text.as_str(), "off" | "false" | "no" | "0"),
        _ => false,
    }
}
