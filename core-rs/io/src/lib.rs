//! File input and output behind one trait: real, in memory, and with power cuts.
