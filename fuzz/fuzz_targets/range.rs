//! `range` of `kirsch-fuzz` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (kirsch_fuzz::target("range").run)(bytes));
