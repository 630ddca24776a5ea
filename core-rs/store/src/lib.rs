//! The log: segments, packs and large blobs.
