//! Files and data sets in every encoding, whole, in pieces, and broken. Private dictionaries are in a test of their own: a
//! process has one.

mod common;
mod content;
mod data_set;
mod data_sets;
mod edit;
mod header;
mod json_stream;
mod model;
mod reencode;
mod scan;
mod select;
mod stream;
