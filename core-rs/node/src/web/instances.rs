//! Instances as parts: as they are stored, or in the transfer syntax that was chosen for them.

use std::collections::HashMap;
use std::sync::Arc;

use vna_index::Located;

use super::Form;
use super::parts::{Body, Part};
use super::selection::{Selection, location};
use crate::error::ArchiveError;
use crate::pictures::blocking;
use crate::transcode::{TranscodeOptions, Transcoded};

/// Instances that are located at once: few before the first byte leaves.
const FIRST_PAGE: usize = 8;
const PAGE: usize = 256;

/// See the module.
pub(super) struct InstanceParts {
    selection: Selection,
    root: String,
    forms: Arc<HashMap<String, Form>>,
    options: TranscodeOptions,
    next: usize,
    /// Where the next ones lie.
    located: HashMap<i64, Located>,
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
        }
    }

    /// Whether it is one part at most.
    pub fn is_one(&self) -> bool {
        self.selection.len() == 1
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
            if !self.located.contains_key(&number) {
                self.locate().await?;
            }
            // A row that is not there was deleted, and its time is over.
            let gone = ArchiveError::Making(crate::archives::MakingProblem::RowGone);
            let located = self.located.remove(&number).ok_or(gone)?;
            let series = self.selection.series(&instance);
            let location = series.map_or_else(String::new, |series| {
                location(&self.root, series, &located.sop_instance_uid)
            });
            let (selection, options) = (self.selection.clone(), self.options.clone());
            let may_stay = !self.is_one();
            let is_at_hand = !may_stay && form.transfer_syntax.is_none();
            let part = move || part(&selection, number, &located, form, &options, may_stay);
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
        let first = self.next - 1;
        if self.is_one() {
            self.located = selection.locate(selection.instances())?;
            return Ok(());
        }
        self.located = blocking(move || {
            let instances = selection.instances();
            let page = if first == 0 { FIRST_PAGE } else { PAGE };
            selection.locate(&instances[first..instances.len().min(first + page)])
        })
        .await?;
        Ok(())
    }
}

fn part(
    selection: &Selection,
    number: i64,
    located: &Located,
    form: Form,
    options: &TranscodeOptions,
    may_stay: bool,
) -> Result<Part, ArchiveError> {
    let file = Arc::new(selection.open(number, located)?);
    let stored = |content_type| Part {
        content_type,
        location: String::new(),
        length: Some(file.size()),
        body: Body::File(Arc::clone(&file)),
    };
    let Some(to) = &form.transfer_syntax else {
        return Ok(stored(form.content_type));
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
            Ok(stored(format!("application/dicom; transfer-syntax={uid}")))
        }
        Err(error) => Err(error),
    }
}
