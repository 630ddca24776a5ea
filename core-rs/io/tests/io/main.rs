//! Disks: real, in memory, and with power cuts.

mod cut;
mod disk;
