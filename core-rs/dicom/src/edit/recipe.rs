//! What is done to data sets, compiled.

use super::profile::Profile;
use super::rules::{Done, Rules};
use super::value::NewValue;
use super::{EditError, EditPath, Key};
use crate::{Level, Tag, tags};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// What is done to each of several data sets; [`Recipe::apply`] does it.
///
/// Of all that is said of one attribute the first of these counts: that it is kept, that it is replaced, that it is removed,
/// that private ones are removed, what the profile says of it, and that UIDs of the [`Scope`](super::Scope) follow.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(super) key: Option<Key>,
    /// What becomes of the identifiers of patient, study, series and instance.
    pub(super) identities: [Identity; 4],
    pub(super) rules: Rules,
    pub(super) remove_private: bool,
    pub(super) keep_private: bool,
    pub(super) private_creator: Option<String>,
    pub(super) profile: Option<Profile>,
    pub(super) original_attributes: Option<OriginalAttributes>,
    transcode: Option<String>,
}

/// What becomes of the identifier of a level.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Identity {
    /// It stays.
    #[default]
    Kept,
    /// It becomes a function of what it was.
    New,
    /// It becomes this one.
    Replaced(String),
}

/// What a modification says of itself in Original Attributes Sequence (0400,0561) (PS3.3 §C.12.1.1.9).
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginalAttributes {
    /// Attribute Modification DateTime: a DT.
    pub at: String,
    /// Modifying System.
    pub system: String,
    /// Source of Previous Values.
    #[serde(default)]
    pub source: String,
    /// Reason for the Attribute Modification: `COERCE` or `CORRECT`.
    pub reason: String,
}

/// A recipe as JSON has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    level: Option<String>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    new_uids: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    keep: Vec<String>,
    #[serde(default)]
    replace: Map<String, Json>,
    #[serde(default)]
    remove_private: bool,
    #[serde(default)]
    keep_private: bool,
    #[serde(default)]
    private_creator: Option<String>,
    #[serde(default)]
    profile: Option<ProfileFields>,
    #[serde(default)]
    original_attributes: Option<OriginalAttributes>,
    #[serde(default)]
    transcode: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFields {
    version: String,
    #[serde(default)]
    options: Vec<String>,
}

/// The identifiers of the levels, from the patient down.
pub(super) const IDENTIFIERS: [Tag; 4] = [
    tags::PATIENT_ID,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SOP_INSTANCE_UID,
];

impl Recipe {
    /// Compiles a recipe:
    ///
    /// | member | what it says |
    /// |---|---|
    /// | `key` | 16 to 64 bytes in hexadecimal digits: see [`Key`] |
    /// | `level` | of what it is asked: `Patient`, `Study`, `Series`, `Instance`; identifiers of it and below are new unless `new_uids` says which are |
    /// | `force` | whether identifiers may be replaced and kept |
    /// | `new_uids` | levels whose identifiers become functions of the key and of what they were |
    /// | `remove`, `keep` | lists of [`EditPath`]s |
    /// | `replace` | values by [`EditPath`]: texts, `data:` URIs, lists of items |
    /// | `remove_private` | whether private attributes go |
    /// | `keep_private` | whether private attributes stay that the profile would remove |
    /// | `private_creator` | whose block private attributes in paths are of |
    /// | `profile` | `version` and `options` of a [`Profile`] |
    /// | `original_attributes` | [`OriginalAttributes`], if what was there is to be told |
    /// | `transcode` | a transfer syntax |
    ///
    /// # Errors
    ///
    /// [`EditError`], all but `Dicom` and `Scope`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vna_dicom::{DataElement, DataSet, Vr, edit::{Recipe, Scope}, tags};
    /// let recipe = Recipe::from_json(br#"{"replace": {"PatientName": "Doe^Jane"}, "remove": ["AccessionNumber"]}"#)?;
    /// let mut data_set = DataSet::from_iter([DataElement::new(tags::ACCESSION_NUMBER, Vr::SH, *b"A1")]);
    /// recipe.apply(&mut data_set, &Scope::new())?;
    /// assert_eq!(data_set.elements(), [DataElement::new(tags::PATIENT_NAME, Vr::PN, *b"Doe^Jane")]);
    /// # Ok::<(), vna_dicom::edit::EditError>(())
    /// ```
    pub fn from_json(json: &[u8]) -> Result<Recipe, EditError> {
        let problem = |error: serde_json::Error| EditError::Recipe {
            problem: format!("the recipe: {error}"),
        };
        // By way of an object, since a list of members in their order would pass too.
        let members: Map<String, Json> = serde_json::from_slice(json).map_err(problem)?;
        let fields: Fields = serde_json::from_value(Json::Object(members)).map_err(problem)?;
        fields.compile()
    }

    /// The transfer syntax that the result is wanted in, if not the one that is there.
    #[must_use]
    pub fn transfer_syntax_uid(&self) -> Option<&str> {
        self.transcode.as_deref()
    }

    /// Whether persons are to be unknown afterwards.
    #[must_use]
    pub fn is_anonymization(&self) -> bool {
        self.profile.is_some()
    }

    /// The identifier that an instance has at a level after, if the recipe makes it from the one before.
    #[must_use]
    pub fn new_uid(&self, level: Level, old: &str) -> Option<String> {
        let key = self.key.as_ref()?;
        let is_new = self.identities[level as usize] == Identity::New && level != Level::Patient;
        is_new.then(|| key.uid(old))
    }

    /// Whether the identifier of a level stays.
    #[must_use]
    pub fn keeps(&self, level: Level) -> bool {
        self.identities[level as usize] == Identity::Kept
    }
}

impl Fields {
    fn compile(self) -> Result<Recipe, EditError> {
        let key = self.key.as_deref().map(parse_key).transpose()?;
        let mut identities = self.identities(key.is_some())?;
        let profile = self.profile.as_ref();
        let profile = profile
            .map(|ProfileFields { version, options }| Profile::new(version, options))
            .transpose()?;
        if let Some(profile) = &profile {
            // Whatever was asked for: the UIDs of study and series tell who it is as well.
            let identity = if profile.retains_uids() {
                Identity::Kept
            } else {
                Identity::New
            };
            identities[1..].fill(identity);
        }
        let mut rules = Rules::default();
        let creator_is_known = self.private_creator.is_some();
        let mut add = |text: &String, done| {
            let path: EditPath = text.parse()?;
            self.check(&path, &done)?;
            rules.add(&path, done, creator_is_known);
            Ok::<_, EditError>(path)
        };
        let mut recipe = Recipe {
            key,
            identities,
            rules: Rules::default(),
            remove_private: self.remove_private,
            keep_private: self.keep_private,
            private_creator: self.private_creator.clone(),
            profile,
            original_attributes: self.original_attributes.clone(),
            transcode: self.transcode.clone(),
        };
        for text in &self.remove {
            add(text, Done::Removed)?;
        }
        for (text, json) in &self.replace {
            let tag = text.parse::<EditPath>()?.tag;
            let value = NewValue::read(tag, json)?;
            let replaced = match &value {
                NewValue::Text(text) => Some(text.clone()),
                NewValue::Bytes(_) | NewValue::Items(_) => None,
            };
            let path = add(text, Done::Replaced(value))?;
            if let (Some(level), Some(value)) = (level_of(&path), replaced) {
                recipe.identities[level] = Identity::Replaced(value);
            }
        }
        for text in &self.keep {
            let path = add(text, Done::Kept)?;
            if let Some(level) = level_of(&path) {
                recipe.identities[level] = Identity::Kept;
            }
        }
        recipe.rules = rules;
        recipe.check_whole()?;
        Ok(recipe)
    }

    fn identities(&self, has_key: bool) -> Result<[Identity; 4], EditError> {
        let mut identities = [const { Identity::Kept }; 4];
        let level = self.level.as_deref().map(parse_level).transpose()?;
        if self.new_uids.is_empty() && has_key {
            // Below the level that is asked for nothing is what it was, nor that level itself; a patient has an ID that
            // people gave it.
            let first = level.map_or(4, |level| (level as usize).max(1));
            for identity in identities.iter_mut().skip(first) {
                *identity = Identity::New;
            }
        }
        for name in &self.new_uids {
            identities[parse_level(name)? as usize] = Identity::New;
        }
        Ok(identities)
    }

    /// Whether that may be done with an attribute.
    fn check(&self, path: &EditPath, done: &Done) -> Result<(), EditError> {
        if level_of(path).is_none() {
            return Ok(());
        }
        let (tag, doing) = match done {
            Done::Kept => (path.tag, "kept"),
            Done::Replaced(_) => (path.tag, "replaced"),
            Done::Removed => (path.tag, "removed"),
        };
        if !self.force {
            return Err(EditError::NeedsForce { tag, done: doing });
        }
        if *done == Done::Removed {
            return Err(EditError::Needed { tag });
        }
        Ok(())
    }
}

impl Recipe {
    fn check_whole(&self) -> Result<(), EditError> {
        let problem = |problem: &str| {
            Err(EditError::Recipe {
                problem: problem.to_owned(),
            })
        };
        if self.key.is_none()
            && (self.profile.is_some() || self.identities.contains(&Identity::New))
        {
            return problem("the recipe: new UIDs and profiles need a key");
        }
        if self.profile.is_some() && self.original_attributes.is_some() {
            return problem("the recipe: original attributes would tell what a profile removes");
        }
        let well_made = |uid: &String| {
            let bytes = uid.bytes();
            let digits = |byte: u8| byte.is_ascii_digit() || byte == b'.';
            (1..=64).contains(&uid.len()) && bytes.into_iter().all(digits)
        };
        for (identity, tag) in self.identities.iter().zip(IDENTIFIERS).skip(1) {
            if let Identity::Replaced(uid) = identity
                && !well_made(uid)
            {
                let wanted = "a UID: digits and points, 64 at most";
                return Err(EditError::Value { tag, wanted });
            }
        }
        Ok(())
    }
}

/// The level whose identifier a path leads to.
fn level_of(path: &EditPath) -> Option<usize> {
    let tag = path.sequences.is_empty().then_some(path.tag)?;
    IDENTIFIERS.iter().position(|identifier| *identifier == tag)
}

fn parse_level(name: &str) -> Result<Level, EditError> {
    let known = Level::ALL.into_iter().find(|level| level.as_str() == name);
    known.ok_or_else(|| EditError::Recipe {
        problem: format!("the recipe: {name:?} is no level; Patient, Study, Series, Instance are"),
    })
}

fn parse_key(text: &str) -> Result<Key, EditError> {
    Key::from_hex(text).ok_or_else(|| EditError::Recipe {
        problem: "the recipe: key must be 16 to 64 bytes in hexadecimal digits".to_owned(),
    })
}
