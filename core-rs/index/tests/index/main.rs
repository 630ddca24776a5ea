//! The index on disks of every kind. Tags that are wanted besides are in a test of their own: a process has one list of them.

mod power;
mod sqlite;
mod suite;
