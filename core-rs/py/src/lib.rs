//! `vna._core`: converts types, detaches, maps errors.
