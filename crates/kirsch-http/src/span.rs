//! A range of bytes in the buffer of the connection.
//!
//! Heads are described by offsets instead of slices, so that the buffer can travel with its
//! connection from thread to thread without a lifetime, and nothing is copied.

/// A 32-bit byte range, relative to the `buf` that was given to `next_head`.
///
/// 32 bits are enough because [`Limits::head_bytes`](crate::Limits::head_bytes) is a `u32`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset of the first byte behind the range.
    pub end: u32,
}

impl Span {
    /// Makes a span of buffer offsets, which the head limit keeps below 4 GiB.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && u32::try_from(end).is_ok());
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes of the span.
    ///
    /// # Panics
    ///
    /// If `buf` is not the buffer (or the start of it) that the span was made for.
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.end as usize]
    }

    /// The number of bytes.
    #[inline]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the span holds no byte.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}
