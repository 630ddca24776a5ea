//! Values of many resources, a page at a time.

/// The values of some tags of resources, in one buffer: what answers are written from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Values {
    width: usize,
    ids: Vec<i64>,
    /// Where each value is in `text`; [`ABSENT`] of a resource that has none.
    spans: Vec<(usize, usize)>,
    text: String,
}

const ABSENT: (usize, usize) = (usize::MAX, 0);

/// The values of one resource, in the order of the tags that were asked for.
#[derive(Clone, Copy, Debug)]
pub struct ValueRow<'a> {
    /// The number of the resource.
    pub id: i64,
    spans: &'a [(usize, usize)],
    text: &'a str,
}

impl Values {
    pub(crate) fn new(width: usize) -> Values {
        Values {
            width,
            ..Values::default()
        }
    }

    /// Begins a resource; `width` values follow.
    pub(crate) fn begin(&mut self, id: i64) {
        self.ids.push(id);
    }

    pub(crate) fn push(&mut self, value: Option<&str>) {
        self.spans.push(match value {
            Some(value) => {
                let start = self.text.len();
                self.text.push_str(value);
                (start, self.text.len())
            }
            None => ABSENT,
        });
    }

    /// The resources that were live, in the order in which they were asked for.
    pub fn rows(&self) -> impl Iterator<Item = ValueRow<'_>> {
        self.ids.iter().enumerate().map(|(at, id)| ValueRow {
            id: *id,
            spans: &self.spans[at * self.width..(at + 1) * self.width],
            text: &self.text,
        })
    }
}

impl<'a> ValueRow<'a> {
    /// The value of the tag that was asked for at this place; `None` if there is none.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&'a str> {
        let (start, end) = *self.spans.get(at)?;
        self.text.get(start..end)
    }
}

/// An instance and what it is in, by the UIDs that a retrieve names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceUids {
    /// The public id.
    pub public_id: vna_dicom::PublicId,
    /// (0008,0016) SOP Class UID.
    pub sop_class_uid: String,
    /// (0008,0018) SOP Instance UID.
    pub sop_instance_uid: String,
    /// The transfer syntax of the stored file.
    pub transfer_syntax_uid: String,
    /// (0020,000E) Series Instance UID.
    pub series_instance_uid: String,
    /// (0020,000D) Study Instance UID.
    pub study_instance_uid: String,
}
