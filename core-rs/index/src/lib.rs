//! Resources, matching and changes: SQLite behind one trait.
