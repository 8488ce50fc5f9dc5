//! The fuzz targets over the seeds and mutations of them, the same ones on every machine; `make fuzz` goes on
//! from here for as long as it is told.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use kirsch_fuzz::{Mutator, dictionary, seeds, target};

/// Runs a target over its seeds and so many mutations.
fn try_all(name: &str, mutations: usize) {
    let target = target(name);
    let (seeds, dictionary) = (seeds(name), dictionary(name));
    assert!(seeds.len() > 30, "{} seeds for {name}", seeds.len());
    let check = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
            eprintln!("{name} fails for b\"{}\"", input.escape_ascii());
            resume_unwind(panic);
        }
    };
    seeds.iter().for_each(|seed| check(seed));
    let mut mutator = Mutator::new(seeds.len() as u64);
    for _ in 0..mutations {
        check(&mutator.next(&seeds, &dictionary));
    }
}

#[test]
fn heads_are_read_one_way() {
    try_all("head", 20_000);
}

#[test]
fn targets_are_taken_apart_as_the_grammar_has_it() {
    try_all("target", 50_000);
}

#[test]
fn chunked_bodies_are_decoded_one_way_and_back() {
    try_all("chunked", 20_000);
}

#[test]
fn connections_have_the_same_requests_for_every_reader() {
    try_all("connection", 20_000);
}

#[test]
fn nothing_an_application_gives_breaks_the_framing() {
    try_all("response", 100_000);
}

#[test]
fn ranges_that_are_asked_for_are_sent_once() {
    try_all("range", 100_000);
}

#[test]
fn a_file_is_settings_or_one_message_with_its_line() {
    try_all("options", 5_000);
}
