//! An identifier becomes a query of the index, and what the index cannot compare becomes conditions on what it found.

use std::time::Instant;

use vna_dicom::{Level, Tag, Vr, attribute_level};
use vna_index::{Case, MomentKeys, Query, ValueRow, is_indexed};

use super::headers::{HeaderNeeds, Headers, Wanted};
use super::identifier::{Asks, Identifier, RETRIEVE_AE_TITLE, RequestedKey};
use super::keys::{Keys, element_text};
use super::moments::{PAIRS, Zone};
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::find::MAX_SEARCH;

/// Where to search, and by which rules.
pub(crate) struct Scope<'a> {
    pub tenant: i64,
    pub label: Option<&'a str>,
    pub level: Level,
    /// Date and time ranges are ranges of moments (PS3.4 §C.5.1.1.1.1).
    pub combined: bool,
    /// The time zone that the requestor's dates and times are in, if that was negotiated.
    pub zone: Option<Zone>,
    /// How texts are compared.
    pub case: Case,
}

/// Resources that match, found one page after the other.
pub(crate) struct Search {
    pub tenant: i64,
    pub label: Option<String>,
    pub level: Level,
    ids: Vec<i64>,
    at: usize,
    moments: Vec<Moment>,
    pub needs: HeaderNeeds,
    pub zone: Option<Zone>,
}

/// Keys of a date and its time that are compared together, behind the index.
struct Moment {
    date: Tag,
    time: Tag,
    keys: MomentKeys,
}

impl Search {
    /// Asks the index. `most`: no more than so many need be found; 0: all.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn open(
        archive: &Archive,
        identifier: &Identifier,
        scope: &Scope<'_>,
        most: u64,
    ) -> Result<Search, ArchiveError> {
        let level = scope.level;
        let mut query = Query::all(scope.tenant, level);
        query.until = Some(Instant::now() + MAX_SEARCH);
        query.study_label = scope.label.map(str::to_owned);
        query.case = scope.case;
        let moments = moments(identifier, scope);
        let (mut own, mut below): (Vec<&RequestedKey>, Vec<&RequestedKey>) = Default::default();
        for key in identifier.keys.iter().filter(|key| is_of_the_query(key)) {
            let Asks::Value(value) = &key.asks else {
                // The index compares no items.
                if attribute_level(key.tag) <= level {
                    &mut own
                } else {
                    &mut below
                }
                .push(key);
                continue;
            };
            if key.creator.is_some() || key.tag.is_private() {
                if attribute_level(key.tag) <= level {
                    &mut own
                } else {
                    &mut below
                }
                .push(key);
            } else if let Some(moment) = moments.iter().find(|moment| moment.date == key.tag) {
                query = match scope.zone {
                    Some(_) => query.key(key.tag, &moment.keys.widened_date_key()),
                    None => query.key(key.tag, value),
                };
            } else if !moments.iter().any(|moment| moment.time == key.tag) {
                query = query.key(key.tag, value);
            }
        }
        if own.is_empty() && below.is_empty() && moments.is_empty() {
            query.page.limit = most;
        }
        let found = archive.index().find(&query)?;
        let is_left = |keys: &[vna_index::Key], tag: Tag| keys.iter().any(|key| key.tag == tag);
        let left_below = found.headers.below.as_ref();
        own.extend(
            identifier
                .keys
                .iter()
                .filter(|key| is_left(&found.headers.own, key.tag)),
        );
        let is_open = !below.is_empty() || left_below.is_some();
        let own = own.iter().copied();
        let own = own.filter(|key| !moments.iter().any(|moment| moment.date == key.tag));
        let mut needs = HeaderNeeds::new(Keys::requested(own, scope.case), None);
        if is_open {
            // One resource must match them all, those too that the index has compared.
            below = identifier
                .keys
                .iter()
                .filter(|key| is_below(key, level))
                .collect();
            let lowest = below.iter().map(|key| attribute_level(key.tag)).max();
            let lowest = lowest.max(left_below.map(|(level, _)| *level));
            needs.below = lowest.map(|lowest| (lowest, Keys::requested(below, scope.case)));
        }
        Ok(Search {
            tenant: scope.tenant,
            label: scope.label.map(str::to_owned),
            level,
            ids: found.resources,
            at: 0,
            moments,
            needs,
            zone: scope.zone,
        })
    }

    /// Has the values of lower levels shown too: of a resource that matches the keys of these levels.
    pub fn show_below(&mut self, identifier: &Identifier, shown: Vec<Wanted>) {
        let lower = || {
            identifier
                .keys
                .iter()
                .filter(|key| is_below(key, self.level))
        };
        if self.needs.below.is_none() {
            let lowest = lower().map(|key| attribute_level(key.tag)).max();
            let keys = || Keys::requested(lower(), Case::Standard);
            self.needs.below = lowest.map(|lowest| (lowest, keys()));
        }
        self.needs.below_shown = shown;
    }

    /// Whether keys of levels below restrict what matches.
    pub fn has_keys_below(identifier: &Identifier, level: Level) -> bool {
        identifier.keys.iter().any(|key| is_below(key, level))
    }

    /// What the index must tell, beside what is shown: dates, times and zones that are compared.
    pub fn compared(&self) -> impl Iterator<Item = Tag> + '_ {
        let moments = self
            .moments
            .iter()
            .flat_map(|moment| [moment.date, moment.time]);
        moments.filter(|tag| is_indexed(self.level, *tag))
    }

    /// What must be read of headers to compare it.
    pub fn compared_in_headers(&self) -> impl Iterator<Item = Tag> + '_ {
        let moments = self
            .moments
            .iter()
            .flat_map(|moment| [moment.date, moment.time]);
        moments.filter(|tag| !is_indexed(self.level, *tag))
    }

    /// Whether candidates must be compared with more than the index compares.
    pub fn has_conditions(&self) -> bool {
        !self.moments.is_empty() || self.needs.has_keys()
    }

    /// The next candidates, at most `most` of them; empty when there are no more.
    pub fn candidates(&self, most: usize) -> &[i64] {
        let rest = self.ids.get(self.at..).unwrap_or_default();
        &rest[..most.min(rest.len())]
    }

    /// Goes on behind a candidate.
    pub fn pass(&mut self, id: i64) {
        while self.ids.get(self.at).is_some_and(|next| {
            self.at += 1;
            *next != id
        }) {}
    }

    /// How many candidates have been passed.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes on behind so many candidates.
    pub fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Whether dates and times match, which the index could not say.
    pub fn moments_match(&self, tags: &[Tag], row: &ValueRow<'_>, headers: &Headers) -> bool {
        let value = |tag: Tag| -> Option<String> {
            if let Some(at) = tags.iter().position(|one| *one == tag) {
                return row.get(at).map(str::to_owned);
            }
            let own = headers.own.as_ref()?;
            element_text(own.data_set.get(tag)?, &own.charset).map(|(_, text)| text)
        };
        self.moments.iter().all(|moment| {
            let (mut date, mut time) = (value(moment.date), value(moment.time));
            if let Some(zone) = self.zone {
                let stored = value(vna_dicom::tags::TIMEZONE_OFFSET_FROM_UTC);
                zone.adjust_pair(stored.as_deref(), &mut date, &mut time);
            }
            moment.keys.matches(date.as_deref(), time.as_deref())
        })
    }
}

/// Whether a key restricts what matches. Where an object is retrieved from is told, not asked.
fn is_of_the_query(key: &RequestedKey) -> bool {
    key.is_matching() && key.tag != RETRIEVE_AE_TITLE
}

/// Whether a key is compared with headers of resources below.
fn is_below(key: &RequestedKey, level: Level) -> bool {
    is_of_the_query(key)
        && attribute_level(key.tag) > level
        && !is_computed(key.tag)
        && !is_indexed(level, key.tag)
}

/// Whether no header has the attribute: the index alone knows it.
pub(crate) fn is_computed(tag: Tag) -> bool {
    matches!(tag, Tag(0x0008, 0x0054 | 0x0056 | 0x0061 | 0x0062))
        || matches!(
            tag,
            Tag(0x0020, 0x1200 | 0x1202 | 0x1204 | 0x1206 | 0x1208 | 0x1209)
        )
}

/// The keys of dates and times that are compared as moments.
fn moments(identifier: &Identifier, scope: &Scope<'_>) -> Vec<Moment> {
    let mut moments = Vec::new();
    for (date, time) in PAIRS {
        let (date_key, time_key) = (identifier.value(*date), identifier.value(*time));
        let is_asked = !date_key.is_empty() || !time_key.is_empty();
        let is_range = |key: &str| key.contains('-');
        let together = scope.combined && is_range(date_key) && is_range(time_key);
        if is_asked && (together || scope.zone.is_some()) && attribute_level(*date) <= scope.level {
            moments.push(Moment {
                date: *date,
                time: *time,
                keys: MomentKeys::new(date_key, time_key, scope.combined),
            });
        }
    }
    moments
}

/// Whether a key has a VR that nothing can be compared with.
pub(super) fn is_unsupported(key: &RequestedKey) -> bool {
    match &key.asks {
        Asks::Bulk => key.vr != Vr::SQ,
        Asks::Value(_) => false,
        Asks::Item(keys) => keys.iter().any(is_unsupported),
    }
}
