//! Bytes that are made while they are read.

use crate::error::ArchiveError;

/// Makes bytes, a part at a time.
pub(super) trait Maker: Send {
    /// How many there will be, if that is known.
    fn length(&self) -> Option<u64>;

    /// Adds the next part to `out`; `false` if there is none.
    fn make(&mut self, out: &mut Vec<u8>) -> Result<bool, ArchiveError>;
}

/// Bytes that are made while they are read, from their beginning to their end. What waits to be read is one part of what
/// makes them, a frame for example, whose memory it holds.
pub struct MadeStream {
    maker: Box<dyn Maker>,
    made: Vec<u8>,
    /// Bytes of `made` that were read.
    taken: usize,
    is_over: bool,
}

impl MadeStream {
    pub(super) fn new(maker: impl Maker + 'static) -> Self {
        MadeStream {
            maker: Box::new(maker),
            made: Vec::new(),
            taken: 0,
            is_over: false,
        }
    }

    /// How many bytes there will be, if that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.maker.length()
    }

    /// Reads on; fewer bytes than `length` only at the end. It takes processor time and may wait for the disk.
    ///
    /// # Errors
    ///
    /// What codecs, the store and the scanner say.
    pub fn read(&mut self, length: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut piece = Vec::new();
        while piece.len() < length {
            if self.taken == self.made.len() {
                self.made.clear();
                self.taken = 0;
                self.is_over = self.is_over || !self.maker.make(&mut self.made)?;
                if self.is_over {
                    break;
                }
            }
            let left = &self.made[self.taken..];
            let more = left.len().min(length - piece.len());
            piece.extend_from_slice(&left[..more]);
            self.taken += more;
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(u8);

    impl Maker for Numbers {
        fn length(&self) -> Option<u64> {
            None
        }

        fn make(&mut self, out: &mut Vec<u8>) -> Result<bool, ArchiveError> {
            if self.0 == 5 {
                return Ok(false);
            }
            out.extend(vec![self.0; usize::from(self.0)]);
            self.0 += 1;
            Ok(true)
        }
    }

    #[test]
    fn parts_are_read_in_pieces_of_any_length() {
        for length in 1..12 {
            let mut stream = MadeStream::new(Numbers(0));
            let mut all = Vec::new();
            loop {
                let piece = stream.read(length).unwrap();
                let is_last = piece.len() < length;
                all.extend(piece);
                if is_last {
                    break;
                }
            }
            assert_eq!(all, [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]);
            assert!(stream.read(1).unwrap().is_empty());
        }
    }
}
