//! SQLite's integers are signed: numbers that use all 64 bits go in and out as the same bits.

/// The same bits, signed.
pub(crate) trait Signed {
    fn signed(self) -> i64;
}

/// The same bits, unsigned.
pub(crate) trait Unsigned {
    fn unsigned(self) -> u64;
}

impl Signed for u64 {
    fn signed(self) -> i64 {
        self as i64
    }
}

impl Unsigned for i64 {
    fn unsigned(self) -> u64 {
        self as u64
    }
}
