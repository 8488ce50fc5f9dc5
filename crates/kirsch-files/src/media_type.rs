//! The media type of a file by the end of its name. The only file that knows `mime_guess`.

use std::path::Path;

/// What nothing is known of.
const UNKNOWN: &str = "application/octet-stream";

/// The value of `Content-Type` for a name; with a charset for text.
pub(crate) fn media_type(path: &Path, charset: Option<&str>) -> String {
    let essence = match mime_guess::from_path(path).first_raw() {
        Some(found) => essence(found),
        None => UNKNOWN,
    };
    match charset {
        Some(charset) if essence.starts_with("text/") => format!("{essence}; charset={charset}"),
        Some(_) | None => essence.to_owned(),
    }
}

/// What the table has out of date.
fn essence(found: &'static str) -> &'static str {
    match found {
        // RFC 9239 section 6.
        "application/javascript" | "application/x-javascript" => "text/javascript",
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_that_browsers_want() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("A.HTM", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.map", "text/plain; charset=utf-8"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.pdf", "application/pdf"),
            ("a.mp4", "video/mp4"),
            ("a.tar.gz", "application/gzip"),
            ("a.unheard-of", UNKNOWN),
            ("a", UNKNOWN),
        ] {
            assert_eq!(
                media_type(Path::new(name), Some("utf-8")),
                expected,
                "{name}"
            );
        }
        assert_eq!(media_type(Path::new("a.txt"), None), "text/plain");
    }
}
