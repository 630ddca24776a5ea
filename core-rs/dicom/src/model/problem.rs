//! Why a data set cannot be read from JSON or XML.

use crate::Vr;
use std::fmt;

/// Why a data set cannot be read from JSON or XML. No problem quotes a value: that may be about a patient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModelProblem {
    /// It is not UTF-8.
    Utf8,
    /// It breaks the grammar of JSON, or of XML.
    Syntax {
        /// What should be there.
        wanted: &'static str,
    },
    /// A document type or an entity that it declares. Neither is read: they can name files, and grow without end.
    Doctype,
    /// What names an attribute is no tag.
    Tag {
        /// Its beginning.
        found: String,
    },
    /// The attribute is of a group that no data set has.
    Group,
    /// A VR that PS3.5 does not define.
    Vr {
        /// Its beginning.
        found: String,
    },
    /// An attribute without VR.
    NoVr,
    /// An attribute with two values, or a member twice.
    Members,
    /// An attribute that stands twice in its data set.
    Twice,
    /// A value that the VR cannot have.
    Value {
        /// The VR.
        vr: Vr,
    },
    /// Several values in a VR that has one.
    Several {
        /// The VR.
        vr: Vr,
    },
    /// An empty value among numbers.
    EmptyNumber {
        /// The VR.
        vr: Vr,
    },
    /// A value that is not binary, in a VR that has no other.
    InPlace {
        /// The VR.
        vr: Vr,
    },
    /// A member of a person name that is no component group.
    NameGroup,
    /// A binary value that is no Base64.
    Base64,
    /// The number of a value or an item that does not follow the one before.
    Number,
    /// No block of private elements is left for a creator.
    Block,
}

impl ModelProblem {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            ModelProblem::Utf8 => "model.utf8",
            ModelProblem::Syntax { .. } => "model.syntax",
            ModelProblem::Doctype => "model.doctype",
            ModelProblem::Tag { .. } | ModelProblem::Group => "model.tag",
            ModelProblem::Vr { .. } | ModelProblem::NoVr => "model.vr",
            ModelProblem::Members | ModelProblem::Twice => "model.twice",
            ModelProblem::Value { .. }
            | ModelProblem::Several { .. }
            | ModelProblem::EmptyNumber { .. }
            | ModelProblem::InPlace { .. }
            | ModelProblem::NameGroup
            | ModelProblem::Base64 => "model.value",
            ModelProblem::Number => "model.number",
            ModelProblem::Block => "model.block",
        }
    }
}

impl fmt::Display for ModelProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelProblem::Utf8 => f.write_str("the text is not UTF-8"),
            ModelProblem::Syntax { wanted } => write!(f, "{wanted} should stand here"),
            ModelProblem::Doctype => {
                f.write_str("document types and the entities they declare are not read")
            }
            ModelProblem::Tag { found } => {
                write!(f, "{found:?} is no tag; eight hexadecimal digits are")
            }
            ModelProblem::Group => f.write_str("a data set has no attribute of this group"),
            ModelProblem::Vr { found } => write!(f, "{found:?} is no VR of PS3.5"),
            ModelProblem::NoVr => f.write_str("the attribute has no VR"),
            ModelProblem::Members => {
                f.write_str("the attribute has two values, or the same member twice")
            }
            ModelProblem::Twice => f.write_str("the attribute stands twice in its data set"),
            ModelProblem::Value { vr } => write!(f, "the value is none of VR {vr}"),
            ModelProblem::Several { vr } => write!(f, "VR {vr} has one value only"),
            ModelProblem::EmptyNumber { vr } => {
                write!(f, "an empty value among others, which VR {vr} cannot have")
            }
            ModelProblem::InPlace { vr } => {
                write!(
                    f,
                    "VR {vr} is given as InlineBinary or bulk data, not as values"
                )
            }
            ModelProblem::NameGroup => f.write_str(
                "a person name has the groups Alphabetic, Ideographic and Phonetic, no other",
            ),
            ModelProblem::Base64 => f.write_str("the binary value is no Base64"),
            ModelProblem::Number => f.write_str(
                "numbers of values and items count from 1 on, each after the one before",
            ),
            ModelProblem::Block => {
                f.write_str("all blocks of private elements of this group are reserved")
            }
        }
    }
}
