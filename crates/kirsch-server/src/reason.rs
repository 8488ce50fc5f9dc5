//! What the system says of a failure, without the number that Rust puts behind it.

use std::io;

/// The words alone: `No such file or directory`, not `No such file or directory (os error 2)`.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => text
            .trim_end_matches(&format!(" (os error {number})"))
            .to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_left_out() {
        assert_eq!(
            reason(&io::Error::from_raw_os_error(2)),
            "No such file or directory"
        );
        assert_eq!(
            reason(&io::Error::other("a (os error 2)")),
            "a (os error 2)"
        );
    }
}
