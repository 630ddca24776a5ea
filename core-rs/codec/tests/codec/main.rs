//! Codecs in the process itself: what they write, read and refuse. What they do in helpers is in tests of their own, since
//! those time, end and starve processes.

mod jpeg2000;
mod jpegls;
mod jpegxl;
mod native;
mod other_encoders;
mod rle;
mod round_trip;
