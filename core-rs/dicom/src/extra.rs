//! Tags that an operator wants to be indexed beside [`crate::main_tags`].
//!
//! There is one such list a process, as there is one private dictionary. Where none is configured, all that it costs is
//! to see that.

use crate::{Level, Tag, Vr, dictionary_vr, main_tags, tags};
use std::fmt;
use std::sync::{PoisonError, RwLock};

/// Most tags of one level: each is a row for each resource of the level.
pub const MAX_EXTRA_TAGS: usize = 100;

/// What heads are read for.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    /// Grows with each change, so that a head tells with which list it was read.
    pub generation: u64,
    /// All tags that a head keeps, sorted.
    pub tags: Vec<Tag>,
    extra: [Vec<Tag>; 4],
}

/// Why a tag cannot be indexed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtraTagError {
    /// The tag.
    pub tag: Tag,
    /// Its level.
    pub level: Level,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for ExtraTagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExtraTagError {
            tag,
            level,
            problem,
        } = self;
        write!(f, "{tag} of a {} {problem}", level.as_str().to_lowercase())
    }
}

impl std::error::Error for ExtraTagError {}

static WANTED: RwLock<Option<&'static Wanted>> = RwLock::new(None);

impl Wanted {
    fn new(generation: u64, extra: [Vec<Tag>; 4]) -> Self {
        let main = Level::ALL
            .into_iter()
            .flat_map(|level| main_tags(level).iter().copied());
        let mut tags = vec![
            tags::SPECIFIC_CHARACTER_SET,
            tags::SOP_CLASS_UID,
            tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE,
            tags::ISSUER_OF_PATIENT_ID,
        ];
        tags.extend(main.filter(|tag| dictionary_vr(*tag) != Vr::SQ));
        tags.extend(extra.iter().flatten());
        tags.sort_unstable();
        tags.dedup();
        Wanted {
            generation,
            tags,
            extra,
        }
    }

    /// Whether the index keeps a tag of any level.
    pub fn is_indexed(&self, tag: Tag) -> bool {
        Level::ALL.iter().any(|level| {
            main_tags(*level).binary_search(&tag).is_ok()
                || self.extra[*level as usize].binary_search(&tag).is_ok()
        })
    }
}

/// What heads are read for from now on.
pub(crate) fn wanted() -> &'static Wanted {
    let current = *WANTED.read().unwrap_or_else(PoisonError::into_inner);
    current.unwrap_or_else(|| {
        let mut current = WANTED.write().unwrap_or_else(PoisonError::into_inner);
        current.get_or_insert_with(|| Box::leak(Box::new(Wanted::new(0, Default::default()))))
    })
}

/// The tags of a level that are indexed beside [`main_tags`], sorted.
#[must_use]
pub fn extra_tags(level: Level) -> &'static [Tag] {
    &wanted().extra[level as usize]
}

/// Which list of extra tags is in force: the number that [`crate::Instance::extra_generation`] has of heads read with it.
#[must_use]
pub fn extra_generation() -> u64 {
    wanted().generation
}

/// Makes these the extra tags that heads are read for, in place of those before.
///
/// A list that differs from the one before stays in memory until the process ends: it changes when an operator wants it.
///
/// # Errors
///
/// [`ExtraTagError`] if a tag is indexed anyway, is a sequence, pixel data or of the File Meta Information, or if a level
/// has more than [`MAX_EXTRA_TAGS`].
pub fn set_extra_tags(
    wanted_tags: impl IntoIterator<Item = (Level, Tag)>,
) -> Result<(), ExtraTagError> {
    let mut extra: [Vec<Tag>; 4] = Default::default();
    for (level, tag) in wanted_tags {
        let refuse = |problem| {
            Err(ExtraTagError {
                tag,
                level,
                problem,
            })
        };
        if main_tags(level).contains(&tag) {
            return refuse("is indexed anyway");
        }
        if dictionary_vr(tag) == Vr::SQ {
            return refuse("is a sequence, of which no value can be indexed");
        }
        if tag.0 < 0x0008 || tag.1 == 0 || tag >= tags::FLOAT_PIXEL_DATA {
            return refuse("is no attribute that describes anything");
        }
        let of_level = &mut extra[level as usize];
        if of_level.len() == MAX_EXTRA_TAGS {
            return refuse("is one too many: a level takes 100");
        }
        if !of_level.contains(&tag) {
            of_level.push(tag);
        }
    }
    extra.iter_mut().for_each(|tags| tags.sort_unstable());
    let before = wanted();
    if before.extra != extra {
        let next = Wanted::new(before.generation + 1, extra);
        *WANTED.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::leak(Box::new(next)));
    }
    Ok(())
}
