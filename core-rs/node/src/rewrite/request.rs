//! What is to be written anew, as the control plane writes it.

use serde::Deserialize;
use vna_codec::EncodeOptions;
use vna_dicom::{Level, PublicId};

use crate::error::ArchiveError;
use crate::find::{FindProblem, Wrong, level_named, shown};
use crate::transcode::SpoolSettings;
use crate::transcode::TranscodeOptions;

/// Which resources, and how the result is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteRequest {
    /// Instances, in the order that they are written anew in.
    #[serde(default)]
    pub instances: Vec<String>,
    /// Resources of any level, if not instances are named. The order of what is in them is a function of its UIDs.
    #[serde(default)]
    pub resources: Vec<NamedResource>,
    /// Whether a new instance takes the place of one of the same identity, whatever the archive does with others that
    /// arrive.
    #[serde(default = "yes")]
    pub overwrite: bool,
    /// The quality of lossy JPEG, from 1 to 100.
    #[serde(default)]
    pub lossy_quality: Option<u8>,
}

/// A resource by level and public id.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedResource {
    /// `Patient`, `Study`, `Series` or `Instance`.
    #[serde(rename = "Type")]
    pub level: String,
    /// Its public id.
    #[serde(rename = "ID")]
    pub id: String,
}

fn yes() -> bool {
    true
}

impl RewriteRequest {
    /// Reads it from JSON.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Find`].
    pub fn from_json(json: &[u8]) -> Result<Self, ArchiveError> {
        let wrong = |text: String| FindProblem::new(Wrong::Request, text);
        let request: RewriteRequest =
            serde_json::from_slice(json).map_err(|error| wrong(format!("resources: {error}")))?;
        if request
            .lossy_quality
            .is_some_and(|quality| !(1..=100).contains(&quality))
        {
            return Err(wrong("lossy_quality goes from 1 to 100".to_owned()).into());
        }
        Ok(request)
    }

    pub(super) fn transcode_options(
        &self,
        spool: SpoolSettings,
        new_uid: bool,
    ) -> TranscodeOptions {
        let usual = EncodeOptions::default();
        TranscodeOptions {
            encode: EncodeOptions {
                quality: self.lossy_quality.unwrap_or(usual.quality),
                ..usual
            },
            allow_new_uid: new_uid,
            spool,
            ..TranscodeOptions::default()
        }
    }
}

impl NamedResource {
    pub(super) fn parse(&self) -> Result<(Level, PublicId), ArchiveError> {
        let level = level_named(&self.level).ok_or_else(|| {
            let text = format!("{} is no level of a resource", shown(&self.level));
            FindProblem::new(Wrong::Request, text)
        })?;
        Ok((level, parse_id(level, &self.id)?))
    }
}

/// The public id that a text is.
pub(super) fn parse_id(level: Level, text: &str) -> Result<PublicId, ArchiveError> {
    text.parse().map_err(|_| {
        let text = format!("no {} has the id {}", level.as_str(), shown(text));
        FindProblem::new(Wrong::Metadata, text).into()
    })
}
