//! How requests name what is to be edited: an attribute, also one within items.

use super::EditError;
use crate::{MAX_DEPTH, Tag, tag_for_keyword};
use std::fmt;
use std::str::FromStr;

/// The way to an attribute: the sequences around it with the items that are meant, and its tag.
///
/// As clients of Orthanc and `dcmodify` write it: attributes by keyword, `0010-0010`, `0010,0010`, `(0010,0010)` or
/// `00100010`; items by their number from 0 on or `*` for all; a dot between them.
///
/// ```
/// # use vna_dicom::edit::EditPath;
/// let path: EditPath = "ReferencedImageSequence[*].0008-1155".parse()?;
/// assert_eq!(path.to_string(), "(0008,1140)[*].(0008,1155)");
/// assert!("ReferencedImageSequence.ReferencedSOPInstanceUID".parse::<EditPath>().is_err());
/// # Ok::<(), vna_dicom::edit::EditError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EditPath {
    /// The sequences from the outermost on.
    pub sequences: Vec<(Tag, Items)>,
    /// The attribute.
    pub tag: Tag,
}

/// Items of a sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Items {
    /// The one of that number, from 0 on.
    One(usize),
    /// All.
    All,
}

impl EditPath {
    /// The way to an attribute of the outermost data set.
    #[must_use]
    pub fn of_tag(tag: Tag) -> Self {
        EditPath {
            sequences: Vec::new(),
            tag,
        }
    }
}

impl Items {
    /// Whether the item of that number is one of them.
    #[must_use]
    pub fn have(self, number: usize) -> bool {
        match self {
            Items::One(one) => one == number,
            Items::All => true,
        }
    }
}

/// The attribute that a text names.
pub(super) fn named_tag(text: &str) -> Result<Tag, EditError> {
    let tag = Tag::parse(text).or_else(|| tag_for_keyword(text));
    tag.ok_or_else(|| EditError::UnknownTag {
        found: text.chars().take(64).collect(),
    })
}

impl FromStr for EditPath {
    type Err = EditError;

    fn from_str(text: &str) -> Result<Self, EditError> {
        let mut steps = text.split('.');
        let last = steps.next_back().unwrap_or_default();
        let mut sequences = Vec::new();
        for step in steps {
            if sequences.len() >= MAX_DEPTH {
                return Err(EditError::Path {
                    problem: format!("a path leads into more than {MAX_DEPTH} sequences"),
                });
            }
            sequences.push(sequence_step(step)?);
        }
        let tag = named_tag(last)?;
        Ok(EditPath { sequences, tag })
    }
}

fn sequence_step(step: &str) -> Result<(Tag, Items), EditError> {
    let clip = |text: &str| text.chars().take(64).collect::<String>();
    let Some((name, number)) = step.strip_suffix(']').and_then(|step| step.split_once('[')) else {
        let problem = format!(
            "{:?} needs the number of an item, as in Sequence[0].Tag or Sequence[*].Tag",
            clip(step)
        );
        return Err(EditError::Path { problem });
    };
    let items = match number {
        "*" => Items::All,
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // No sequence has more items than a number holds.
            Items::One(digits.parse().unwrap_or(usize::MAX))
        }
        _ => {
            let problem = format!(
                "{:?} is no number of an item; they count from 0, and * is all of them",
                clip(number)
            );
            return Err(EditError::Path { problem });
        }
    };
    Ok((named_tag(name)?, items))
}

impl fmt::Display for EditPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (tag, items) in &self.sequences {
            match items {
                Items::One(number) => write!(f, "{tag}[{number}].")?,
                Items::All => write!(f, "{tag}[*].")?,
            }
        }
        write!(f, "{}", self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_in_every_usual_form() {
        let expected = EditPath {
            sequences: vec![
                (Tag(0x0040, 0x0275), Items::One(0)),
                (Tag(0x0040, 0x0008), Items::All),
            ],
            tag: Tag(0x0008, 0x0100),
        };
        for text in [
            "RequestAttributesSequence[0].ScheduledProtocolCodeSequence[*].CodeValue",
            "0040,0275[0].0040-0008[*].00080100",
            "(0040,0275)[0].(0040,0008)[*].(0008,0100)",
        ] {
            assert_eq!(text.parse::<EditPath>(), Ok(expected.clone()), "{text}");
        }
        assert_eq!(expected.to_string().parse::<EditPath>(), Ok(expected));
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_reason() {
        for (text, code) in [
            ("", "edit.tag"),
            ("FooBar", "edit.tag"),
            ("patientname", "edit.tag"),
            ("50xx-xxxx", "edit.tag"),
            ("PatientName.", "edit.path"),
            ("ReferencedImageSequence[0]", "edit.tag"),
            ("ReferencedImageSequence.PatientID", "edit.path"),
            ("ReferencedImageSequence[].PatientID", "edit.path"),
            ("ReferencedImageSequence[-1].PatientID", "edit.path"),
            ("ReferencedImageSequence[a].PatientID", "edit.path"),
            ("Foo[0].PatientID", "edit.tag"),
            ("ReferencedImageSequence[0]PatientID", "edit.tag"),
        ] {
            let error = text.parse::<EditPath>().expect_err("is none");
            assert_eq!(error.code(), code, "{text}");
        }
        let deep = "ReferencedImageSequence[0].".repeat(MAX_DEPTH + 1) + "PatientID";
        assert_eq!(
            deep.parse::<EditPath>().expect_err("too deep").code(),
            "edit.path"
        );
    }
}
