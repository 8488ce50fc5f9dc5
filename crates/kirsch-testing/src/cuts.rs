//! Where to cut a byte stream in two, so that every way the network may cut it is covered.

/// Up to here every offset is tried.
const EVERY_OFFSET: usize = 10 * 1024;

/// How many offsets at random are tried in a longer stream,
const AT_RANDOM: usize = 100;

/// how many at either end,
const AT_ENDS: usize = 48;

/// and at how many line ends near either end.
const LINE_ENDS: usize = 12;

/// The offsets to cut `bytes` at: all of them, or in a long stream the ends, the line ends near
/// them, and pseudo-random ones in between.
pub fn cuts(bytes: &[u8]) -> Vec<usize> {
    let len = bytes.len();
    if len <= EVERY_OFFSET {
        return (1..len).collect();
    }
    let edges = |at: usize| at.saturating_sub(1)..=(at + 2).min(len - 1);
    let line_ends: Vec<usize> = memchr::memchr_iter(b'\r', bytes).collect();
    let mut cuts: Vec<usize> = (1..AT_ENDS).chain(len - AT_ENDS..len).collect();
    cuts.extend(line_ends.iter().take(LINE_ENDS).copied().flat_map(edges));
    cuts.extend(
        line_ends
            .iter()
            .rev()
            .take(LINE_ENDS)
            .copied()
            .flat_map(edges),
    );
    cuts.extend(
        pseudo_random(len as u64)
            .take(AT_RANDOM)
            .map(|number| 1 + number as usize % (len - 1)),
    );
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// The same numbers for the same seed, on every machine (xorshift64).
pub fn pseudo_random(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed | 1), |&last| {
        let mut next = last;
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        Some(next)
    })
    .skip(1)
}
