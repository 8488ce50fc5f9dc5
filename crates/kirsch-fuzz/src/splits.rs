//! The ways in which an input arrives: whole, byte by byte, and in pieces at random.

use kirsch_testing::pseudo_random;

/// Longer inputs are not tried byte by byte: a cut within 4 KiB finds the same.
const BYTE_BY_BYTE: usize = 4096;

/// How many ways at random.
const AT_RANDOM: u64 = 3;

/// Ways to cut `bytes`, each as the ends of its pieces. The same for the same bytes.
pub(crate) fn splits(bytes: &[u8]) -> Vec<Vec<usize>> {
    let len = bytes.len();
    let mut ways = vec![vec![len]];
    if len <= BYTE_BY_BYTE {
        ways.push((1..=len).collect());
    }
    for way in 0..AT_RANDOM {
        let mut ends: Vec<usize> = pseudo_random(checksum(bytes) ^ (way << 32))
            .take(1 + 2 * way as usize)
            .map(|number| number as usize % (len + 1))
            .collect();
        ends.push(len);
        ends.sort_unstable();
        ways.push(ends);
    }
    ways
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
