//! What must hold for every stream of bytes, tried on random ones.

use std::sync::LazyLock;

use kirsch_http::{
    BodyPart, CommonFields, Limits, Outcome, RequestFacts, RequestReader, ResponseHead, Version,
};
use kirsch_testing::{Case, load_cases};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::verdict;

/// What is mutated: the requests of the cases, without the bulky ones.
static SMALL_CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    load_cases()
        .into_iter()
        .filter(|case| case.request().len() < 1000)
        .collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_chunked_body_is_decoded_to_what_was_coded(
        blocks in vec((vec(any::<u8>(), 1..40), extension()), 0..8),
        trailers in vec(trailer(), 0..3),
        leading_zeros in 0..4usize,
        pieces in vec(1..20usize, 1..10),
    ) {
        let mut coded = Vec::new();
        for (block, extension) in &blocks {
            let zeros = "0".repeat(leading_zeros);
            coded.extend(format!("{zeros}{:X}{extension}\r\n", block.len()).bytes());
            coded.extend(block);
            coded.extend(b"\r\n");
        }
        coded.extend(format!("0\r\n{}\r\n", trailers.concat()).bytes());
        let body: Vec<u8> = blocks.into_iter().flat_map(|(block, _)| block).collect();
        prop_assert_eq!(decode(&coded, &pieces), (body, coded.len()));
    }

    #[test]
    fn our_own_chunks_are_decoded_to_the_blocks(
        blocks in vec(vec(any::<u8>(), 0..300), 0..8),
        pieces in vec(1..50usize, 1..10),
    ) {
        let request = RequestFacts { version: Version::Http11, is_head: false, keep_alive: true };
        let common = CommonFields { date: b"", server: None, request_id: None, keep_alive: None };
        let mut head = ResponseHead::new();
        head.status(b"200 OK").expect("it is good");
        let mut body = head.finish(&request, None, &common, true);
        let mut coded = Vec::new();
        for block in &blocks {
            let framed = body.frame(block.len());
            coded.extend_from_slice(&framed.prefix);
            coded.extend_from_slice(&block[..framed.take]);
            coded.extend_from_slice(framed.suffix);
        }
        let ended = body.end();
        prop_assert_eq!(ended.outcome, Outcome::Complete);
        coded.extend_from_slice(ended.tail);
        prop_assert_eq!(decode(&coded, &pieces), (blocks.concat(), coded.len()));
    }

    #[test]
    fn the_verdict_on_a_mutated_case_does_not_depend_on_the_cuts(
        case in any::<Index>(),
        mutations in vec((any::<Index>(), mutation()), 1..4),
        at in vec(any::<Index>(), 1..6),
    ) {
        let case = case.get(&SMALL_CASES);
        let mut bytes = case.pieces().concat();
        for (at, mutation) in mutations {
            mutation.apply(&mut bytes, at);
        }
        let mut cuts: Vec<usize> = at.iter().map(|at| at.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let whole = verdict(case, [&bytes[..]]);
        let cut = verdict(case, cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]));
        prop_assert_eq!(cut, whole, "{}", bytes.escape_ascii());
    }

    #[test]
    fn an_accepted_head_keeps_the_grammar(
        case in any::<Index>(),
        mutations in vec((any::<Index>(), mutation()), 0..4),
    ) {
        let mut bytes = case.get(&SMALL_CASES).request();
        for (at, mutation) in mutations {
            mutation.apply(&mut bytes, at);
        }
        let mut fields = Vec::new();
        let head = RequestReader::new().next_head(&bytes, &Limits::default(), &mut fields);
        if let Ok(Some(head)) = head {
            check_grammar(&bytes[..head.len as usize])?;
            let lines = bytes[..head.len as usize].split(|&byte| byte == b'\n').count();
            prop_assert!(fields.len() + 3 <= lines);
            for field in &fields {
                prop_assert!(!field.name.is_empty());
                let value = field.value.of(&bytes);
                prop_assert_eq!(value.trim_ascii(), value);
            }
        }
    }
}

/// A second opinion on an accepted head, written from the RFC and without a thought for speed.
fn check_grammar(head: &[u8]) -> Result<(), TestCaseError> {
    let text: String = head.iter().copied().map(char::from).collect();
    let text = text.trim_start_matches("\r\n");
    let section = text
        .strip_suffix("\r\n\r\n")
        .ok_or(TestCaseError::fail("no empty line at the end"))?;
    let mut lines = section.split("\r\n");
    let parts: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    prop_assert_eq!(parts.len(), 3, "request line of {:?}", text);
    prop_assert!(is_token(parts[0]) && parts[2].starts_with("HTTP/1.") && parts[2].len() == 8);
    prop_assert!(
        parts[1]
            .chars()
            .all(|char| char > ' ' && char != '\x7f' && char != '#')
    );
    let mut names = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or(TestCaseError::fail("no colon"))?;
        prop_assert!(is_token(name), "name {:?}", name);
        let good = |char| char == '\t' || (char >= ' ' && char != '\x7f');
        prop_assert!(value.chars().all(good), "value {:?}", value);
        names.push(name.to_ascii_lowercase());
    }
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    prop_assert!(count("host") == 1 || (count("host") == 0 && parts[2] == "HTTP/1.0"));
    prop_assert!(count("content-length") <= 1 && count("content-type") <= 1);
    prop_assert!(count("content-length") == 0 || count("transfer-encoding") == 0);
    Ok(())
}

fn is_token(text: &str) -> bool {
    let tchar = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    !text.is_empty() && text.chars().all(tchar)
}

/// Decodes a chunked request body that arrives in pieces of the given sizes, again and again:
/// the body, and how many bytes it took.
fn decode(coded: &[u8], pieces: &[usize]) -> (Vec<u8>, usize) {
    let head = b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut reader = RequestReader::new();
    let parsed = reader.next_head(head, &Limits::default(), &mut Vec::new());
    assert!(matches!(parsed, Ok(Some(_))));

    let (mut body, mut start, mut end) = (Vec::new(), 0, 0);
    let mut sizes = pieces.iter().cycle();
    loop {
        match reader.next_body(&coded[start..end]).expect("it is good") {
            BodyPart::Data { skip, len } => {
                body.extend_from_slice(&coded[start + skip..start + skip + len]);
                start += skip + len;
            }
            BodyPart::End { consume } => return (body, start + consume),
            BodyPart::NeedMore { consume } => {
                assert!(end < coded.len(), "cut short");
                start += consume;
                end = (end + sizes.next().expect("there is one")).min(coded.len());
            }
        }
    }
}

fn extension() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "( |\t)?;( )?[a-z!]{1,5}",
        "(;[a-z]{1,3}( )?=( )?[a-z0-9~]{1,5}){1,3}",
        r#";[a-z]{1,3}="([ -!#-\[\]-~]|\\["\\a])*""#,
    ]
}

fn trailer() -> impl Strategy<Value = String> {
    "[A-Za-z-]{1,10}:[ -~\t]{0,20}\r\n"
}

/// The ways to spoil a request that found holes in other servers.
#[derive(Clone, Debug)]
enum Mutation {
    Delete,
    Insert(&'static [u8]),
    Replace(u8),
    /// The rest of the line once more.
    Repeat,
}

impl Mutation {
    fn apply(self, bytes: &mut Vec<u8>, at: Index) {
        if bytes.is_empty() {
            return;
        }
        let at = at.index(bytes.len());
        match self {
            Mutation::Delete => drop(bytes.remove(at)),
            Mutation::Insert(part) => drop(bytes.splice(at..at, part.iter().copied())),
            Mutation::Replace(byte) => bytes[at] = byte,
            Mutation::Repeat => {
                let end = bytes[at..].iter().position(|&byte| byte == b'\n');
                let part = bytes[at..end.map_or(bytes.len(), |end| at + end + 1)].to_vec();
                drop(bytes.splice(at..at, part));
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    const PARTS: &[&[u8]] = &[
        b"\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\t",
        b"\0",
        b":",
        b"\x80",
        b"0",
        b",",
        b"\r\n\r\n",
        b"\x7f",
        b";",
    ];
    prop_oneof![
        Just(Mutation::Delete),
        select(PARTS).prop_map(Mutation::Insert),
        any::<u8>().prop_map(Mutation::Replace),
        Just(Mutation::Repeat),
    ]
}
