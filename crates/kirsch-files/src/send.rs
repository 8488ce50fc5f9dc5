//! Sends a representation, or what is wanted of it. It does not know where the file came from.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use kirsch_http::{ByteRange, Multipart, ResponseHead, unsatisfied};
use kirsch_server::{ErrorAnswer, Exchange, Gone, Status};

use crate::asked::Answer;
use crate::representation::{Content, Representation, add, head_of};

const CHANGED: &str = "what is there is not what the request is about";
const BEYOND: &str = "416 Range Not Satisfiable: the file has no such bytes\n";

/// Answers the exchange.
pub(crate) fn send(exchange: Exchange, representation: &Representation, answer: Answer) {
    match answer {
        Answer::Whole => {
            let len = representation.content.len();
            let head = representation.whole_head();
            send_range(exchange, head, &representation.content, 0..len);
        }
        Answer::Part(range) => {
            let mut head = representation.partial_head();
            let complete = representation.content.len();
            add(
                &mut head,
                b"Content-Type",
                representation.media_type.as_bytes(),
            );
            add(
                &mut head,
                b"Content-Range",
                range.content_range(complete).as_bytes(),
            );
            let bytes = range.first()..range.last() + 1;
            send_range(exchange, head, &representation.content, bytes);
        }
        Answer::Parts(ranges) => send_parts(exchange, representation, &ranges),
        Answer::NotModified => exchange.respond(representation.not_modified_head(), b""),
        Answer::Failed => fail(exchange, ErrorAnswer::new(Status(412), CHANGED)),
        Answer::Unsatisfiable => {
            let mut head = head_of(b"416 Range Not Satisfiable");
            let complete = representation.content.len();
            add(
                &mut head,
                b"Content-Range",
                unsatisfied(complete).as_bytes(),
            );
            add(&mut head, b"Content-Type", b"text/plain; charset=utf-8");
            exchange.respond(head, BEYOND.as_bytes());
        }
    }
}

/// Answers in the server's own name.
pub(crate) fn fail(mut exchange: Exchange, answer: ErrorAnswer) {
    exchange.answer(&answer);
}

fn send_range(mut exchange: Exchange, head: ResponseHead, content: &Content, range: Range<u64>) {
    let len = range.end - range.start;
    if let Content::Memory(bytes) = content {
        return exchange.respond(head, slice(bytes, &range));
    }
    exchange.begin(head, Some(len));
    if give(&mut exchange, content, range).is_ok() {
        exchange.finish();
    }
}

fn send_parts(mut exchange: Exchange, representation: &Representation, ranges: &[ByteRange]) {
    let boundary = new_boundary();
    let packed = Multipart {
        boundary: &boundary,
        content_type: Some(&representation.media_type),
        complete: representation.content.len(),
    };
    let mut head = representation.partial_head();
    add(&mut head, b"Content-Type", packed.content_type().as_bytes());
    exchange.begin(head, Some(packed.content_length(ranges)));
    let sent = ranges.iter().try_for_each(|&range| {
        exchange.put(packed.before(range).as_bytes())?;
        let bytes = range.first()..range.last() + 1;
        give(&mut exchange, &representation.content, bytes)
    });
    if sent.is_ok() && exchange.put(packed.end().as_bytes()).is_ok() {
        exchange.finish();
    }
}

/// Gives a part of the content as a block.
fn give(exchange: &mut Exchange, content: &Content, range: Range<u64>) -> Result<(), Gone> {
    if !exchange.wants_more() {
        // The answer to HEAD.
        return Ok(());
    }
    match content {
        Content::File(file, _) => exchange.file(file, range.start, range.end - range.start),
        Content::Memory(bytes) => exchange.put(slice(bytes, &range)),
    }
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    // Ranges are made for this length.
    bytes
        .get(range.start as usize..range.end as usize)
        .unwrap_or_default()
}

/// A text that is in no file: nobody can tell the next one, so nobody can have written it into one.
fn new_boundary() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Keyed at random, each of the two.
    let part = || RandomState::new().hash_one(count);
    format!("{:016x}{:016x}", part(), part())
}
