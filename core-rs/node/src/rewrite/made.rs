//! One stored instance, written anew.

use std::sync::Arc;

use vna_codec::Codecs;
use vna_dicom::edit::{EditedFile, MadeFile, Recipe, Scope};
use vna_dicom::{
    CharacterSet, DataSet, DicomError, FrameProblem, Identity, ReadAt, Tag, Value, tags,
};

use crate::error::ArchiveError;
use crate::reencode::StoredBlob;
use crate::stored_file::StoredFile;
use crate::stored_image::inflate;
use crate::transcode::{Spool, TranscodeOptions, Transcoded};

const BURNED_IN_ANNOTATION: Tag = Tag(0x0028, 0x0301);

/// Pixel Data, Float Pixel Data, Double Float Pixel Data.
const PIXEL_DATA: [Tag; 3] = [tags::PIXEL_DATA, Tag(0x7FE0, 0x0008), Tag(0x7FE0, 0x0009)];

/// What a file is made from.
#[derive(Clone)]
pub(crate) enum Source {
    Stored(StoredBlob),
    /// The same inflated, since there is no "where" in what is deflated as a whole.
    Inflated(Arc<Spool>),
}

impl ReadAt for Source {
    type Error = ArchiveError;

    fn size(&self) -> u64 {
        match self {
            Self::Stored(blob) => blob.size(),
            Self::Inflated(spool) => spool.size(),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ArchiveError> {
        match self {
            Self::Stored(blob) => blob.read_at(buffer, offset),
            Self::Inflated(spool) => spool.read_at(buffer, offset),
        }
    }
}

/// What a source says of text that is burned into its pixels, in Burned In Annotation (0028,0301): no recipe takes it out
/// of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BurnedIn {
    /// There is none, or there are no pixels.
    No,
    /// There are pixels, and nothing is said of them.
    Unsaid,
    /// There is some.
    Yes,
}

/// What became of a stored instance: its file, and what identified it before.
pub(crate) struct Made {
    pub file: Arc<MadeFile<Source>>,
    /// Of the instance that it was made from.
    pub burned_in: BurnedIn,
    /// The identity of the instance that it was made from.
    pub was: Identity,
    /// The transfer syntax that the file is to be in, if it is not in it.
    pub transfer_syntax_uid: Option<String>,
}

impl Made {
    /// Applies a recipe to a stored file.
    pub fn of(
        reader: Arc<StoredFile>,
        recipe: &Recipe,
        scope: &Scope,
    ) -> Result<Self, ArchiveError> {
        let stored = StoredBlob::new(reader);
        let (mut edited, source, deflated) = match EditedFile::read(&stored) {
            Err(ArchiveError::Dicom(DicomError::Frames {
                problem: FrameProblem::Deflated,
                ..
            })) => {
                let deflated = vna_dicom::transfer_syntax_uid(&stored)?;
                let spool = Arc::new(inflate(&stored)?);
                let edited = EditedFile::read(&spool)?;
                (edited, Source::Inflated(spool), Some(deflated))
            }
            edited => (edited?, Source::Stored(stored), None),
        };
        let was = identity(&edited.data_set);
        let burned_in = BurnedIn::of(&edited.data_set);
        recipe.apply(&mut edited.data_set, scope)?;
        let is_in = edited.transfer_syntax_uid.clone();
        let file = edited.into_made(source, !recipe.is_anonymization())?;
        let wanted = recipe.transfer_syntax_uid().map(str::to_owned).or(deflated);
        Ok(Made {
            file: Arc::new(file),
            burned_in,
            was,
            transfer_syntax_uid: wanted.filter(|wanted| stripped(wanted) != stripped(&is_in)),
        })
    }
}

impl BurnedIn {
    fn of(data_set: &DataSet) -> Self {
        let said = data_set.get(BURNED_IN_ANNOTATION);
        let said = said.and_then(|element| element.text(&CharacterSet::default()));
        let has_pixels = PIXEL_DATA.iter().any(|tag| data_set.get(*tag).is_some());
        match said.as_deref().map(str::trim) {
            Some("YES") => Self::Yes,
            Some("NO") => Self::No,
            _ if has_pixels => Self::Unsaid,
            _ => Self::No,
        }
    }

    /// As clients are told of it; `None` if there is nothing to tell.
    #[must_use]
    pub fn told(self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Unsaid => Some("UNSAID"),
            Self::Yes => Some("YES"),
        }
    }
}

fn stripped(uid: &str) -> &str {
    uid.trim_matches(['\0', ' '])
}

fn identity(data_set: &DataSet) -> Identity {
    let text = |tag: Tag, charset: &CharacterSet| {
        let element = data_set
            .get(tag)
            .filter(|element| matches!(element.value, Value::Bytes(_)));
        let text = element.and_then(|element| element.text(charset));
        text.unwrap_or_default()
    };
    let terms = text(tags::SPECIFIC_CHARACTER_SET, &CharacterSet::default());
    let charset = CharacterSet::from_terms(&terms);
    Identity {
        patient_id: text(tags::PATIENT_ID, &charset),
        issuer_of_patient_id: text(tags::ISSUER_OF_PATIENT_ID, &charset),
        study_instance_uid: text(tags::STUDY_INSTANCE_UID, &charset),
        series_instance_uid: text(tags::SERIES_INSTANCE_UID, &charset),
        sop_instance_uid: text(tags::SOP_INSTANCE_UID, &charset),
        sop_class_uid: text(tags::SOP_CLASS_UID, &charset),
        ..Identity::default()
    }
}

/// A stored instance written anew, to be read from its beginning to its end; nothing is stored.
pub struct Rewritten {
    form: Form,
    burned_in: BurnedIn,
}

enum Form {
    AsIs(Arc<MadeFile<Source>>, u64),
    Transcoded(Box<Transcoded<Arc<MadeFile<Source>>>>),
}

impl Rewritten {
    /// Applies a recipe to a stored file, and brings it into the transfer syntax that the recipe asks for.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Edit`], [`ArchiveError::Dicom`] and [`ArchiveError::Transcode`]; what the store says.
    pub fn open(
        reader: Arc<StoredFile>,
        recipe: &Recipe,
        scope: &Scope,
        options: &TranscodeOptions,
        codecs: &Arc<Codecs>,
    ) -> Result<Self, ArchiveError> {
        let made = Made::of(reader, recipe, scope)?;
        let burned_in = made.burned_in;
        let form = match &made.transfer_syntax_uid {
            None => Form::AsIs(made.file, 0),
            Some(uid) => {
                let transcoded = Transcoded::of(made.file, uid, options, codecs)?;
                Form::Transcoded(Box::new(transcoded))
            }
        };
        Ok(Rewritten { form, burned_in })
    }

    /// What the instance that it is made from says of text in its pixels.
    #[must_use]
    pub fn burned_in(&self) -> BurnedIn {
        self.burned_in
    }

    /// How long it is; `None` if that is known only at the end.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.form {
            Form::AsIs(file, _) => Some(file.size()),
            Form::Transcoded(transcoded) => transcoded.length(),
        }
    }

    /// Reads on; fewer bytes than `buffer` takes only at the end, where it is 0.
    ///
    /// # Errors
    ///
    /// What the store says; [`ArchiveError::Codec`] if a frame behind the first cannot be decoded.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        match &mut self.form {
            Form::AsIs(file, at) => {
                let count = file.read_at(buffer, *at)?;
                *at += count as u64;
                Ok(count)
            }
            Form::Transcoded(transcoded) => transcoded.read(buffer),
        }
    }
}
