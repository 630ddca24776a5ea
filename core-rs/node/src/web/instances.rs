//! Instances as parts: as they are stored, or in the transfer syntax that was chosen for them. What is stored is a file of
//! PS3.10 when it leaves, whatever it came as.

use std::collections::HashMap;
use std::sync::Arc;

use vna_index::{Located, PickedInstance};

use super::Form;
use super::multipart::{Boundary, PART_END};
use super::parts::{Body, Part};
use super::selection::{Selection, location};
use crate::archives::MakingProblem;
use crate::error::ArchiveError;
use crate::part10::{Head, may_lack};
use crate::pictures::blocking;
use crate::transcode::{TranscodeOptions, Transcoded};

/// Instances that are located at once: few before the first byte leaves.
const FIRST_PAGE: usize = 8;
const PAGE: usize = 256;

/// How long a part is.
pub(super) struct PartLength {
    /// Which.
    pub index: usize,
    /// With its header and what ends it.
    pub bytes: u64,
}

/// See the module.
pub(super) struct InstanceParts {
    selection: Selection,
    root: String,
    forms: Arc<HashMap<String, Form>>,
    options: TranscodeOptions,
    next: usize,
    /// Where the next ones lie.
    located: HashMap<i64, Located>,
    /// How many of them are located next.
    page: usize,
}

impl InstanceParts {
    pub fn new(
        selection: Selection,
        root: String,
        forms: HashMap<String, Form>,
        options: TranscodeOptions,
    ) -> Self {
        InstanceParts {
            selection,
            root,
            forms: Arc::new(forms),
            options,
            next: 0,
            located: HashMap::new(),
            page: FIRST_PAGE,
        }
    }

    /// Whether it is one part at most.
    pub fn is_one(&self) -> bool {
        self.selection.len() == 1
    }

    /// The parts of a body and how long each is, from its delimiter on, if they all leave as they are stored. It is said by
    /// the index: no file is opened, however many there are.
    pub fn lengths(&self, boundary: &Boundary) -> Option<Vec<PartLength>> {
        let selection = &self.selection;
        let mut heads = HashMap::new();
        for (uid, form) in self.forms.iter() {
            let is_stored = form.transfer_syntax.is_none();
            heads.insert(
                uid.as_str(),
                is_stored.then(|| boundary.part_bytes(&form.content_type))?,
            );
        }
        let mut lengths = Vec::with_capacity(selection.len());
        let mut above = (0, 0);
        for (index, instance) in selection.instances().iter().enumerate() {
            let stored_in = selection.transfer_syntax(instance);
            let Some(head) = heads.get(stored_in) else {
                continue;
            };
            let uid_bytes = u64::from(instance.uid_bytes);
            if may_lack(instance.data_set_offset, uid_bytes + stored_in.len() as u64) {
                return None;
            }
            if above.0 != instance.series {
                let series = selection.series(instance)?;
                above = (
                    instance.series,
                    location(&self.root, series, "").len() as u64,
                );
            }
            let digits = u64::from(instance.file_size.checked_ilog10().unwrap_or(0)) + 1;
            let place = above.1 + uid_bytes;
            let bytes = head + place + digits + instance.file_size + PART_END.len() as u64;
            lengths.push(PartLength { index, bytes });
        }
        Some(lengths)
    }

    /// Goes on with this part: those before it are left out.
    pub fn go_to(&mut self, part: usize) {
        self.next = part;
        self.page = FIRST_PAGE;
        self.located.clear();
    }

    /// The next part. Those whose transfer syntax nothing was chosen for are left out.
    pub async fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        while let Some(instance) = self.selection.instances().get(self.next).copied() {
            self.next += 1;
            let stored_in = self.selection.transfer_syntax(&instance);
            let Some(form) = self.forms.get(stored_in).cloned() else {
                continue;
            };
            let number = instance.instance;
            let stored_in = stored_in.to_owned();
            if !self.located.contains_key(&number) {
                self.locate().await?;
            }
            // A row that is not there was deleted, and its time is over.
            let gone = ArchiveError::Making(MakingProblem::RowGone);
            let located = self.located.remove(&number).ok_or(gone)?;
            if located.transfer_syntax_uid != stored_in {
                return Err(another(&located));
            }
            let series = self.selection.series(&instance);
            let location = series.map_or_else(String::new, |series| {
                location(&self.root, series, &located.sop_instance_uid)
            });
            let (selection, options) = (self.selection.clone(), self.options.clone());
            let may_stay = !self.is_one();
            let is_at_hand = !may_stay && form.transfer_syntax.is_none();
            let part = move || part(&selection, &instance, &located, form, &options, may_stay);
            // To open one file takes no thread that may wait.
            let mut part = match is_at_hand {
                true => part()?,
                false => blocking(part).await?,
            };
            part.location = location;
            return Ok(Some(part));
        }
        Ok(None)
    }

    async fn locate(&mut self) -> Result<(), ArchiveError> {
        let selection = self.selection.clone();
        let (first, page) = (self.next - 1, std::mem::replace(&mut self.page, PAGE));
        if self.is_one() {
            self.located = selection.locate(selection.instances())?;
            return Ok(());
        }
        self.located = blocking(move || {
            let instances = selection.instances();
            selection.locate(&instances[first..instances.len().min(first + page)])
        })
        .await?;
        Ok(())
    }
}

fn part(
    selection: &Selection,
    instance: &PickedInstance,
    located: &Located,
    form: Form,
    options: &TranscodeOptions,
    may_stay: bool,
) -> Result<Part, ArchiveError> {
    let file = Arc::new(selection.open(instance.instance, located)?);
    // Its length was told, and what takes the place of an original has another one.
    if file.size() != instance.file_size {
        return Err(another(located));
    }
    let stored = |content_type| -> Result<Part, ArchiveError> {
        let head = Head::of(located, &file)?;
        Ok(Part {
            content_type,
            location: String::new(),
            length: Some(head.length(file.size())),
            body: Body::File(Arc::clone(&file), head),
        })
    };
    let Some(to) = &form.transfer_syntax else {
        return stored(form.content_type);
    };
    let mut options = options.clone();
    options.allow_new_uid = form.may_lose;
    let codecs = selection.archive().codecs();
    match Transcoded::new(Arc::clone(&file), to, &options, codecs) {
        Ok(transcoded) => Ok(Part {
            content_type: form.content_type,
            location: String::new(),
            length: transcoded.length(),
            body: Body::Transcoded(Box::new(transcoded)),
        }),
        // One of many that there is no way for, though there should be, leaves as it is, and says so.
        Err(error) if may_stay && error.is_of_one_file() => {
            let instance = located.instance.to_string();
            tracing::warn!(error = %error, instance, "an instance cannot be transcoded");
            let uid = located.transfer_syntax_uid.trim_end_matches('\0');
            stored(format!("application/dicom; transfer-syntax={uid}"))
        }
        Err(error) => Err(error),
    }
}

/// The instance is not what it was when the answer began.
fn another(located: &Located) -> ArchiveError {
    let id = located.instance;
    ArchiveError::Making(MakingProblem::InstanceGone { id })
}
