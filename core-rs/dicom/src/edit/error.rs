//! What can be wrong with a recipe, or with a data set that it is applied to.

use crate::{DicomError, Tag};
use std::fmt;

/// Why a recipe cannot be compiled, or not be applied to a data set. No error quotes a value: that may be about a patient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EditError {
    /// The recipe is not the JSON that it should be.
    Recipe {
        /// Where, and what would have been right.
        problem: String,
    },
    /// A member of the recipe has another type than it should have.
    Type {
        /// The member, or the attribute whose new value it is.
        at: String,
        /// What would have been right.
        wanted: &'static str,
    },
    /// Something that names an attribute does not name one.
    UnknownTag {
        /// Its beginning.
        found: String,
    },
    /// A path that leads nowhere: [`EditPath`](super::EditPath) has the form.
    Path {
        /// What is wrong with it.
        problem: String,
    },
    /// A value that its attribute cannot have.
    Value {
        /// The attribute.
        tag: Tag,
        /// What would have been right.
        wanted: &'static str,
    },
    /// An identifier that is replaced, kept or removed only by those who say that they mean it.
    NeedsForce {
        /// The attribute.
        tag: Tag,
        /// What was to be done with it: `replaced`, `kept`, `removed`.
        done: &'static str,
    },
    /// An identifier that no instance can do without.
    Needed {
        /// The attribute.
        tag: Tag,
    },
    /// A profile of de-identification that we do not have.
    Profile {
        /// Which, and what there is.
        problem: String,
    },
    /// More UIDs than a scope holds.
    Scope,
    /// The data set cannot be read or written.
    Dicom(DicomError),
}

impl EditError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Recipe { .. } => "edit.recipe",
            Self::Type { .. } => "edit.type",
            Self::UnknownTag { .. } => "edit.tag",
            Self::Path { .. } => "edit.path",
            Self::Value { .. } => "edit.value",
            Self::NeedsForce { .. } => "edit.force",
            Self::Needed { .. } => "edit.needed",
            Self::Profile { .. } => "edit.profile",
            Self::Scope => "edit.scope",
            Self::Dicom(error) => error.code(),
        }
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |tag: &Tag| crate::keyword(*tag).map_or_else(|| tag.to_string(), str::to_owned);
        match self {
            Self::Recipe { problem } | Self::Path { problem } | Self::Profile { problem } => {
                f.write_str(problem)
            }
            Self::Type { at, wanted } => write!(f, "{at} must be {wanted}"),
            Self::UnknownTag { found } => write!(
                f,
                "{found:?} is no attribute; PatientName, 0010,0010 and 0010-0010 are"
            ),
            Self::Value { tag, wanted } => write!(f, "{} must be {wanted}", name(tag)),
            Self::NeedsForce { tag, done } => write!(
                f,
                "{} can only be {done} with the Force option set to true",
                name(tag)
            ),
            Self::Needed { tag } => {
                write!(f, "{} cannot be removed: each instance has one", name(tag))
            }
            Self::Scope => write!(
                f,
                "more than {} instances to be written anew at once",
                super::MAX_SCOPE
            ),
            Self::Dicom(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Dicom(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DicomError> for EditError {
    fn from(error: DicomError) -> Self {
        Self::Dicom(error)
    }
}
