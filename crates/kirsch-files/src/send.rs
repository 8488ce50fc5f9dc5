//! Sends a representation, or what is wanted of it. It does not know where the file came from.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use kirsch_http::{ByteRange, Multipart, ResponseHead, unsatisfied};
use kirsch_server::{ErrorAnswer, Exchange, Gone, Status};

use crate::asked::Answer;
use crate::representation::{Content, Sendable, add, head_of};

const CHANGED: &str = "what is there is not what the request is about";
const BEYOND: &str = "416 Range Not Satisfiable: the file has no such bytes\n";

/// Answers the exchange. What is sent is said to be these very bytes, and ranges of them can be had, so the server
/// may not compress it; where that is worth it, a file has compressed siblings.
pub(crate) fn send(exchange: &mut Exchange, sendable: &impl Sendable, answer: Answer) {
    exchange.without_compression();
    let content = sendable.content();
    match answer {
        Answer::Whole => send_range(exchange, sendable.whole_head(), content, 0..content.len()),
        Answer::Part(range) => {
            let mut head = sendable.partial_head();
            let content_range = range.content_range(content.len());
            add(&mut head, b"Content-Type", sendable.media_type().as_bytes());
            add(&mut head, b"Content-Range", content_range.as_bytes());
            send_range(exchange, head, content, range.first()..range.last() + 1);
        }
        Answer::Parts(ranges) => send_parts(exchange, sendable, &ranges),
        Answer::NotModified => respond(exchange, sendable.not_modified_head(), b""),
        Answer::Failed => exchange.answer(&ErrorAnswer::new(Status(412), CHANGED)),
        Answer::Unsatisfiable => {
            let mut head = head_of(b"416 Range Not Satisfiable");
            let content_range = unsatisfied(content.len());
            add(&mut head, b"Content-Range", content_range.as_bytes());
            add(&mut head, b"Content-Type", b"text/plain; charset=utf-8");
            respond(exchange, head, BEYOND.as_bytes());
        }
    }
}

/// Answers with a content that is there.
pub(crate) fn respond(exchange: &mut Exchange, head: ResponseHead, content: &[u8]) {
    exchange.begin(head, Some(content.len() as u64));
    if exchange.put(content).is_ok() {
        exchange.finish();
    }
}

fn send_range(exchange: &mut Exchange, head: ResponseHead, content: &Content, range: Range<u64>) {
    exchange.begin(head, Some(range.end - range.start));
    if give(exchange, content, range).is_ok() {
        exchange.finish();
    }
}

fn send_parts(exchange: &mut Exchange, sendable: &impl Sendable, ranges: &[ByteRange]) {
    let boundary = new_boundary();
    let packed = Multipart {
        boundary: &boundary,
        content_type: Some(sendable.media_type()),
        complete: sendable.content().len(),
    };
    let mut head = sendable.partial_head();
    add(&mut head, b"Content-Type", packed.content_type().as_bytes());
    exchange.begin(head, Some(packed.content_length(ranges)));
    let sent = ranges.iter().try_for_each(|&range| {
        exchange.put(packed.before(range).as_bytes())?;
        give(
            exchange,
            sendable.content(),
            range.first()..range.last() + 1,
        )
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
