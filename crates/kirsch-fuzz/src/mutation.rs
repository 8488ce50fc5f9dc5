//! Mutations of inputs, where libFuzzer is not at hand: the same ones on every machine.

use kirsch_testing::pseudo_random;

/// Makes new inputs of given ones.
pub struct Mutator {
    numbers: Box<dyn Iterator<Item = u64>>,
}

impl Mutator {
    /// A mutator whose choices follow from the seed.
    pub fn new(seed: u64) -> Self {
        Mutator {
            numbers: Box::new(pseudo_random(seed)),
        }
    }

    /// One of the inputs with one to four changes.
    ///
    /// # Panics
    ///
    /// If there is no input.
    pub fn next(&mut self, inputs: &[Vec<u8>], dictionary: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, inputs, dictionary);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, inputs: &[Vec<u8>], dictionary: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let end = at + self.below((bytes.len() - at).min(16) + 1);
        match self.below(8) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
            2 => bytes.insert(at, self.number() as u8),
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            4 | 5 if !dictionary.is_empty() => {
                let word = &dictionary[self.below(dictionary.len())];
                drop(bytes.splice(at..end, word.iter().copied()));
            }
            // The rest of the line once more.
            6 => {
                let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |lf| at + lf + 1);
                let line = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, line));
            }
            // The end of another one.
            7 => {
                let other = &inputs[self.below(inputs.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
            _ => bytes.truncate(at),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.number() >> 8) as usize % bound
    }

    fn number(&mut self) -> u64 {
        self.numbers.next().unwrap_or_default()
    }
}
