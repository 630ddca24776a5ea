//! Whole archives, in memory.

mod c_find;
mod common;
mod giving_up;
mod images;
mod power_cut;
mod read_ahead;
mod recompress;
mod repair;
mod streamed;
