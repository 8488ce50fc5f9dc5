//! What is said of a file's caching: `Cache-Control` by name (RFC 9111 section 5.2).

use crate::path::last_segment;

/// Said of names that hold a hash of their content: it never changes under this name (RFC 8246).
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A hash has at least so many hexadecimal digits: bundlers write 8 to 64.
const HASH_DIGITS: usize = 8;

/// A `Cache-Control` for the files that a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    pattern: Vec<u8>,
    value: String,
}

/// A rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheRuleError {
    /// The pattern is empty.
    NoPattern,
    /// The value is empty, or holds what a field must not hold.
    BadValue,
}

impl CacheRule {
    /// A rule for a pattern: `*.css` or `logo.*` for a name wherever it lies, `/assets/*.js` or `/assets/**` for
    /// a path below the root. `*` stands for anything but a slash, `**` for anything, `?` for one character
    /// but a slash. The case counts.
    ///
    /// # Errors
    ///
    /// [`CacheRuleError`] says what cannot be used.
    pub fn new(pattern: &str, value: &str) -> Result<CacheRule, CacheRuleError> {
        if pattern.is_empty() {
            return Err(CacheRuleError::NoPattern);
        }
        let visible = |byte: u8| (b' '..0x7f).contains(&byte);
        if value.trim().is_empty() || !value.bytes().all(visible) {
            return Err(CacheRuleError::BadValue);
        }
        Ok(CacheRule {
            pattern: pattern.as_bytes().to_vec(),
            value: value.trim().to_owned(),
        })
    }

    /// Whether the rule is meant for this path below the root, which has no slash in front.
    fn matches(&self, path: &[u8]) -> bool {
        match self.pattern.strip_prefix(b"/") {
            Some(pattern) => glob(pattern, path),
            None if self.pattern.contains(&b'/') => glob(&self.pattern, path),
            None => glob(&self.pattern, last_segment(path)),
        }
    }
}

/// The value of `Cache-Control` for a file; `None` if nothing is to be said.
pub(crate) fn cache_control<'a>(
    rules: &'a [CacheRule],
    immutable_hashed: bool,
    path: &[u8],
) -> Option<&'a str> {
    match rules.iter().find(|rule| rule.matches(path)) {
        Some(rule) => Some(&rule.value),
        None => (immutable_hashed && is_hashed(last_segment(path))).then_some(IMMUTABLE),
    }
}

/// Whether a part of the name is a hash. The first part is the name proper, and the last its type.
fn is_hashed(name: &[u8]) -> bool {
    let mut parts = name.split(|byte| b".-_".contains(byte)).skip(1).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some() && is_hash(part) {
            return true;
        }
    }
    false
}

fn is_hash(part: &[u8]) -> bool {
    part.len() >= HASH_DIGITS
        && part
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && part.iter().any(u8::is_ascii_digit)
        && part.iter().any(u8::is_ascii_lowercase)
}

/// Matches without recursion: at a mismatch the last star takes one more byte. A `**` that fails has been
/// tried with everything behind it by then, so one place to go back to is enough for each kind.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut any: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(at), text.get(pos)) {
            (Some(b'*'), _) if pattern.get(at + 1) == Some(&b'*') => {
                at += 2;
                (any, star) = (Some((at, pos)), None);
            }
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, pos));
            }
            (Some(b'?'), Some(byte)) if *byte != b'/' => (at, pos) = (at + 1, pos + 1),
            (Some(wanted), Some(byte)) if wanted == byte && *wanted != b'?' => {
                (at, pos) = (at + 1, pos + 1);
            }
            (None, None) => return true,
            (Some(_) | None, _) => match (star, any) {
                (Some((after, from)), _) if text.get(from).is_some_and(|byte| *byte != b'/') => {
                    star = Some((after, from + 1));
                    (at, pos) = (after, from + 1);
                }
                (_, Some((after, from))) if from < text.len() => {
                    any = Some((after, from + 1));
                    star = None;
                    (at, pos) = (after, from + 1);
                }
                (Some(_) | None, _) => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_names_and_paths() {
        for (pattern, path, matches) in [
            ("*.css", "a.css", true),
            ("*.css", "deep/er/a.css", true),
            ("*.css", "a.css.map", false),
            ("/*.css", "a.css", true),
            ("/*.css", "deep/a.css", false),
            ("/assets/**", "assets/x/y.js", true),
            ("/assets/**", "assets/", true),
            ("/assets/**", "other/assets/x", false),
            ("/**/*.js", "a/b/c.js", true),
            ("/**/*.js", "c.js", false),
            ("**/x", "a/b/x", true),
            ("a/*/c", "a/b/c", true),
            ("a/*/c", "a/b/b/c", false),
            ("logo.?", "logo.a", true),
            ("logo.?", "logo.", false),
            ("logo.?", "logo.ab", false),
            ("*", "x/y", true),
            ("*.CSS", "a.css", false),
            ("*a*b*c*", "xaxbxcx", true),
            ("*a*b*c*", "xaxcxbx", false),
            ("/**a/*b", "aa/xa/xb", true),
        ] {
            let rule = CacheRule::new(pattern, "no-cache").expect("a rule");
            assert_eq!(rule.matches(path.as_bytes()), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn a_rule_needs_a_pattern_and_a_value_that_may_be_sent() {
        assert_eq!(
            CacheRule::new("", "no-cache"),
            Err(CacheRuleError::NoPattern)
        );
        for value in ["", " ", "a\r\nX: b", "\u{e9}"] {
            assert_eq!(CacheRule::new("*", value), Err(CacheRuleError::BadValue));
        }
    }

    #[test]
    fn the_first_rule_counts_then_the_hash() {
        let rules = [
            CacheRule::new("/keep/*", "no-cache").expect("a rule"),
            CacheRule::new("*.css", "max-age=60").expect("a rule"),
        ];
        let of = |path: &str| cache_control(&rules, true, path.as_bytes());
        assert_eq!(of("keep/a.css"), Some("no-cache"));
        assert_eq!(of("keep/app.3f2a9c1b.js"), Some("no-cache"));
        assert_eq!(of("x/a.css"), Some("max-age=60"));
        assert_eq!(of("app.3f2a9c1b.js"), Some(IMMUTABLE));
        assert_eq!(of("app.js"), None);
        assert_eq!(cache_control(&rules, false, b"app.3f2a9c1b.js"), None);
    }

    #[test]
    fn hashes_are_told_from_dates_words_and_versions() {
        for (name, hashed) in [
            ("app.3f2a9c1b.js", true),
            ("app-3f2a9c1b.min.js", true),
            ("app_3f2a9c1b0d.css", true),
            ("chunk.0123456789abcdef0123.js.map", true),
            ("report.20240101.pdf", false),
            ("list.deadbeef.txt", false),
            ("app.3f2a9c1.js", false),
            ("app.3F2A9C1B.js", false),
            ("3f2a9c1b.js", false),
            ("app.3f2a9c1b", false),
            ("app.3f2a9c1g.js", false),
            ("jquery-3.7.1.min.js", false),
        ] {
            assert_eq!(is_hashed(name.as_bytes()), hashed, "{name}");
        }
    }

    /// The definition, word by word.
    fn plain_glob(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| plain_glob(rest, &text[at..])),
            [b'*', rest @ ..] => (0..=text.len())
                .take_while(|&at| !text[..at].contains(&b'/'))
                .any(|at| plain_glob(rest, &text[at..])),
            [b'?', rest @ ..] => {
                matches!(text, [first, after @ ..] if *first != b'/' && plain_glob(rest, after))
            }
            [byte, rest @ ..] => {
                matches!(text, [first, after @ ..] if first == byte && plain_glob(rest, after))
            }
        }
    }

    proptest! {
        #[test]
        fn patterns_mean_what_they_say(pattern in "[ab/*?]{0,8}", text in "[ab/]{0,8}") {
            prop_assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                plain_glob(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
