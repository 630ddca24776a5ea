//! Writes `src/dictionary_table.rs` from `dicom-dictionary-std`:
//! `cargo run --release --example dictionary > core-rs/dicom/src/dictionary_table.rs`
//!
//! That crate offers look-ups alone, so this asks for every even group and element (about a minute).

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, TagRange, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

fn main() {
    println!("// Made by examples/dictionary.rs from dicom-dictionary-std 0.10; do not edit.");
    println!("table! {{");
    for group in (0..=u16::MAX).step_by(2) {
        for element in 0..=u16::MAX {
            let tag = Tag(group, element);
            let Some(entry) = StandardDataDictionary.by_tag(tag) else {
                continue;
            };
            let repeats = match entry.tag_range() {
                TagRange::Single(found) if found == tag => "One",
                TagRange::Group100(found) if found == tag => "Groups",
                TagRange::Element100(found) if found == tag => "Elements",
                _ => continue, // generic group lengths, further members of a repeating group
            };
            let vr = match entry.vr() {
                VirtualVr::Exact(vr) => vr,
                VirtualVr::Xs => VR::US,
                _ => VR::OW,
            };
            println!(
                "    0x{group:04X} 0x{element:04X} {vr} {repeats} {}",
                entry.alias()
            );
        }
    }
    println!("}}");
}
