//! The log on every disk, damaged, and with the power cut.

mod common;
mod conformance;
mod damage;
mod power_cut;
