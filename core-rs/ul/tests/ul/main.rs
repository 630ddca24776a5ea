//! Associations, their state table, and the bytes that they are made of. What is allocated for a length from the wire is in
//! a test of its own, which watches every allocation of its process.

mod association;
mod common;
mod round_trip;
mod sequences;
mod state_table;
