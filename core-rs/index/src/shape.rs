//! What to tell of each resource of an answer in JSON.

use vna_dicom::{Tag, TagsForm};

/// What the object of a resource shows, beside `ID` and `Type`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// How tags are written.
    pub form: TagsForm,
    /// Which members there are.
    pub content: Content,
    /// Tags of `RequestedTags`; without any, there is no such member.
    pub requested: Vec<Tag>,
}

impl Shape {
    /// What `GET /{level}/{id}` shows.
    #[must_use]
    pub fn whole() -> Shape {
        Shape {
            form: TagsForm::Simplified,
            content: Content::WHOLE,
            requested: Vec::new(),
        }
    }
}

impl Default for Shape {
    fn default() -> Self {
        Shape::whole()
    }
}

/// Parts of the object of a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// `MainDicomTags`; of a study `PatientMainDicomTags` too.
    pub main_tags: bool,
    /// `Metadata`.
    pub metadata: bool,
    /// Ids one level below.
    pub children: bool,
    /// The id one level above.
    pub parent: bool,
    /// `Labels`.
    pub labels: bool,
    /// `Status` of a series.
    pub status: bool,
    /// `IsStable`, of all but instances.
    pub is_stable: bool,
    /// `IsProtected` of a patient.
    pub is_protected: bool,
    /// `Attachments`.
    pub attachments: bool,
    /// What else the object of one resource shows: times, sizes, numbers, what it is a copy of.
    pub others: bool,
}

impl Content {
    /// `ID` and `Type` alone.
    pub const NONE: Content = Content {
        main_tags: false,
        metadata: false,
        children: false,
        parent: false,
        labels: false,
        status: false,
        is_stable: false,
        is_protected: false,
        attachments: false,
        others: false,
    };

    /// What `GET /{level}/{id}` shows.
    pub const WHOLE: Content = Content {
        main_tags: true,
        children: true,
        parent: true,
        labels: true,
        status: true,
        is_stable: true,
        others: true,
        ..Content::NONE
    };
}

/// A value of `RequestedTags` that the index does not keep, as it was read from a stored header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requested {
    /// The tag.
    pub tag: Tag,
    /// Its value in JSON, in the form of the [`Shape`].
    pub json: Vec<u8>,
}
