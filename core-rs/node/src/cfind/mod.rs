//! C-FIND: identifiers as peers write them, answered from the index and, where it does not keep an attribute, from stored
//! headers; and what C-MOVE and C-GET identifiers select (PS3.4 §C).
//!
//! 1. An identifier becomes one [`Query`](vna_index::Query), the same that REST asks. What the index cannot compare
//!    becomes conditions on what it found, a page at a time; no key is ever ignored without a warning status.
//! 2. Answers go from rows of the index to bytes; trees are made only of what must be read from headers.
//! 3. Between two pages nothing is held but the numbers of what was found.

mod answer;
mod headers;
mod identifier;
mod keys;
mod model;
mod moments;
mod problem;
mod retrieve;
mod search;
mod worklist;

pub use model::InformationModel;
pub use problem::{IdentifierProblem, find_status};
pub use retrieve::{RetrieveOptions, instances_json, select_instances};
pub use worklist::match_data_sets;

pub(crate) use answer::{Cell, Column, Place, Sources, cell};
pub(crate) use headers::{HeaderNeeds, Headers, Outcome, Reading};
pub(crate) use identifier::{Asks, Identifier, RequestedKey};
pub(crate) use keys::{Keys, element_text};
pub(crate) use moments::Zone;
pub(crate) use search::{Scope, Search, is_computed};

use std::time::{Duration, Instant};

use serde::Deserialize;
use vna_dicom::{Level, Tag, Vr, attribute_level, tags as t};
use vna_index::{Case, is_indexed};

use crate::archive::{Archive, DEFAULT_TENANT};
use crate::error::ArchiveError;
use crate::find::MAX_SEARCH;
use answer::Answers;
use identifier::{QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE};
use moments::partner;
use search::is_unsupported;

/// Candidates that are looked at for one page.
const PAGE_CANDIDATES: usize = 512;

/// Bytes after which a page ends.
const PAGE_BYTES: usize = 1 << 20;

/// How long a page may take that must open stored files, so that a query can be cancelled.
const PAGE_TIME: Duration = Duration::from_millis(200);

/// What is agreed on for a query.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CFindOptions {
    /// Whose archive.
    pub tenant: i64,
    /// Only studies that have this label, and what is in them.
    pub label: Option<String>,
    /// The information model of the SOP class.
    pub model: InformationModel,
    /// Keys of any level may be given, unique keys of upper levels need not (PS3.4 §C.4.1.2.2).
    pub relational: bool,
    /// Ranges of dates and times are ranges of moments, as was negotiated.
    pub combined_date_time: bool,
    /// Dates and times are in the time zone that the identifier says, as was negotiated.
    pub timezone: bool,
    /// Most answers; 0: all.
    pub limit: u64,
    /// Retrieve AE Title (0008,0054) of all answers.
    pub retrieve_ae_title: String,
    /// Whether a key that is not supported is told by a warning status, FF01.
    pub unsupported_warning: bool,
}

impl Default for CFindOptions {
    fn default() -> Self {
        CFindOptions {
            tenant: DEFAULT_TENANT,
            label: None,
            model: InformationModel::default(),
            relational: false,
            combined_date_time: false,
            timezone: false,
            limit: 0,
            retrieve_ae_title: "VNA".into(),
            unsupported_warning: true,
        }
    }
}

/// Encoded answers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AnswerPage {
    /// Data sets, end to end, in the transfer syntax of the presentation context.
    pub bytes: Vec<u8>,
    /// Where each of them ends.
    pub ends: Vec<usize>,
}

impl AnswerPage {
    /// The answers.
    pub fn answers(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }
}

/// A query that is being answered.
pub struct CFind {
    search: Search,
    answers: Answers,
    /// What the index is asked for of each resource.
    tags: Vec<Tag>,
    limit: u64,
    answered: u64,
    is_limited: bool,
    has_unsupported: bool,
}

impl CFind {
    /// Reads an identifier and finds what may match.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Identifier`] names what is wrong with it; else what the index says. [`find_status`] has the status
    /// for each.
    pub fn open(
        archive: &Archive,
        identifier: &[u8],
        transfer_syntax_uid: &str,
        options: &CFindOptions,
    ) -> Result<CFind, ArchiveError> {
        let identifier = Identifier::read(identifier, transfer_syntax_uid)?;
        let level = options.model.level(&identifier)?;
        if !options.relational {
            options.model.check_hierarchical(&identifier, level)?;
        }
        let zone = identifier
            .offset_from_utc
            .as_deref()
            .filter(|_| options.timezone);
        let scope = Scope {
            tenant: options.tenant,
            label: options.label.as_deref(),
            level,
            combined: options.combined_date_time,
            zone: zone.map(zone_of).transpose()?,
            case: Case::Standard,
        };
        // One more than is told, to see whether there are more.
        let most = if options.limit == 0 {
            0
        } else {
            options.limit.saturating_add(1)
        };
        let mut search = Search::open(archive, &identifier, &scope, most)?;
        let mut tags: Vec<Tag> = Vec::new();
        let columns = columns(&identifier, options, &mut search, &mut tags);
        let has_unsupported = options.unsupported_warning
            && identifier.keys.iter().any(is_unsupported)
            || columns.iter().any(|column| column.place == Place::Nowhere);
        Ok(CFind {
            answers: Answers::new(&identifier, columns, transfer_syntax_uid),
            search,
            tags,
            limit: options.limit,
            answered: 0,
            is_limited: false,
            has_unsupported: has_unsupported && options.unsupported_warning,
        })
    }

    /// Whether a key was asked for that is not supported: pending responses then have the status FF01, not FF00.
    #[must_use]
    pub fn unsupported_optional_keys(&self) -> bool {
        self.has_unsupported
    }

    /// Whether there were more answers than may be given; known after the last page.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// The next answers; `None` after the last. A page may be empty where many files have to be read: it is a moment to
    /// look whether the query was cancelled.
    ///
    /// # Errors
    ///
    /// As [`CFind::open`].
    pub fn next_page(&mut self, archive: &Archive) -> Result<Option<AnswerPage>, ArchiveError> {
        let pause = Instant::now() + PAGE_TIME;
        let candidates = self.search.candidates(PAGE_CANDIDATES).to_vec();
        if candidates.is_empty() || self.is_limited {
            return Ok(None);
        }
        // Candidates that the index has lost meanwhile have no row.
        let end = self.search.at() + candidates.len();
        let label = self.search.label.clone();
        let label = label.as_deref();
        let reading = Reading {
            archive,
            tenant: self.search.tenant,
            level: self.search.level,
            study_label: label,
            until: Instant::now() + MAX_SEARCH,
            pause: Some(pause),
        };
        let index = archive.index();
        let values = index.values(reading.level, &candidates, &self.tags, label)?;
        let needs = &self.search.needs;
        let mut firsts = needs.first_instances(reading, &candidates)?;
        let reads_files = needs.reads_files();
        let mut page = AnswerPage::default();
        for row in values.rows() {
            let mut headers = Headers::default();
            if reads_files {
                if Instant::now() >= pause {
                    return Ok(Some(page));
                }
                match self
                    .search
                    .needs
                    .read(reading, row.id, firsts.get(reading, row.id))?
                {
                    Outcome::Matches(read) => headers = read,
                    Outcome::Paused => return Ok(Some(page)),
                    Outcome::Differs => {
                        self.search.pass(row.id);
                        continue;
                    }
                }
            }
            self.search.pass(row.id);
            if !self.search.moments_match(&self.tags, &row, &headers) {
                continue;
            }
            if self.limit > 0 && self.answered == self.limit {
                self.is_limited = true;
                break;
            }
            let moved = self.move_moments(&row, &mut headers);
            let sources = Sources {
                row: Some(row),
                headers: &headers,
            };
            self.answers.write(sources, &moved, &mut page.bytes)?;
            page.ends.push(page.bytes.len());
            self.answered += 1;
            if page.bytes.len() >= PAGE_BYTES {
                return Ok(Some(page));
            }
        }
        self.search.go_to(end);
        Ok(Some(page))
    }

    /// Moves dates and times into the time zone of the requestor.
    fn move_moments(
        &self,
        row: &vna_index::ValueRow<'_>,
        headers: &mut Headers,
    ) -> Vec<(usize, String)> {
        let Some(zone) = self.search.zone else {
            return Vec::new();
        };
        for header in [&mut headers.own, &mut headers.below].into_iter().flatten() {
            zone.adjust(&mut header.data_set);
        }
        let at = |tag| self.tags.iter().position(|one| *one == tag);
        let text = |tag| row.get(at(tag)?).map(str::to_owned);
        let offset = text(t::TIMEZONE_OFFSET_FROM_UTC);
        let mut moved = Vec::new();
        for (date, time) in moments::PAIRS {
            let (mut day, mut hour) = (text(*date), text(*time));
            zone.adjust_pair(offset.as_deref(), &mut day, &mut hour);
            moved.extend(at(*date).zip(day));
            moved.extend(at(*time).zip(hour));
        }
        moved
    }
}

fn zone_of(offset: &str) -> Result<Zone, IdentifierProblem> {
    Zone::new(offset).ok_or_else(|| {
        let tag = t::TIMEZONE_OFFSET_FROM_UTC;
        let offset = identifier::shown(offset);
        let text =
            format!("{tag} Timezone Offset From UTC is {offset}; it has the form +hhmm or -hhmm");
        IdentifierProblem::Malformed(text)
    })
}

/// The elements of the answers, and what the index and the headers must tell for them.
fn columns(
    identifier: &Identifier,
    options: &CFindOptions,
    search: &mut Search,
    tags: &mut Vec<Tag>,
) -> Vec<Column> {
    let level = search.level;
    let has_keys_below = Search::has_keys_below(identifier, level);
    let mut columns = vec![
        Column::fixed(QUERY_RETRIEVE_LEVEL, Vr::CS, model::word(level)),
        Column::fixed(
            RETRIEVE_AE_TITLE,
            Vr::AE,
            options.retrieve_ae_title.as_str(),
        ),
    ];
    let mut own_shown = Vec::new();
    let mut below_shown = Vec::new();
    let at = |tag: Tag, tags: &mut Vec<Tag>| {
        let known = tags.iter().position(|one| *one == tag);
        known.unwrap_or_else(|| {
            tags.push(tag);
            tags.len() - 1
        })
    };
    for key in identifier
        .keys
        .iter()
        .filter(|key| key.tag != RETRIEVE_AE_TITLE)
    {
        let lower = attribute_level(key.tag) > level;
        let is_text = !matches!(key.asks, Asks::Item(_));
        let place = if is_text && is_indexed(level, key.tag) {
            Place::Index(at(key.tag, tags))
        } else if is_computed(key.tag) {
            Place::Nowhere
        } else if lower && has_keys_below {
            below_shown.push((key.tag, key.creator.clone()));
            Place::Below
        } else if lower && is_unique_key(key.tag) {
            // There are several, of which none is the one.
            Place::Nowhere
        } else {
            own_shown.push((key.tag, key.creator.clone()));
            Place::Own
        };
        columns.push(Column::of_key(key, place));
    }
    if let Some(zone) = search.zone {
        columns.push(Column::fixed(
            t::TIMEZONE_OFFSET_FROM_UTC,
            Vr::SH,
            zone.offset_from_utc(),
        ));
        for tag in tags.clone() {
            if let Some(other) = partner(tag).filter(|other| is_indexed(level, *other)) {
                at(other, tags);
            }
        }
        at(t::TIMEZONE_OFFSET_FROM_UTC, tags);
        for shown in [&mut own_shown, &mut below_shown] {
            let others: Vec<Tag> = shown.iter().filter_map(|(tag, _)| partner(*tag)).collect();
            shown.extend(others.into_iter().map(|tag| (tag, None)));
            if !shown.is_empty() {
                shown.push((t::TIMEZONE_OFFSET_FROM_UTC, None));
            }
        }
    } else if identifier.offset_from_utc.is_some() || identifier.asks_for_offset {
        // Not negotiated, it is an attribute as others are.
        let place = match is_indexed(level, t::TIMEZONE_OFFSET_FROM_UTC) {
            true => Place::Index(at(t::TIMEZONE_OFFSET_FROM_UTC, tags)),
            false => Place::Nowhere,
        };
        columns.push(Column {
            place,
            ..Column::fixed(t::TIMEZONE_OFFSET_FROM_UTC, Vr::SH, "")
        });
    }
    for tag in search.compared().collect::<Vec<_>>() {
        at(tag, tags);
    }
    own_shown.extend(search.compared_in_headers().map(|tag| (tag, None)));
    search.needs.own_shown = own_shown;
    if !below_shown.is_empty() {
        search.show_below(identifier, below_shown);
    }
    columns
}

/// Whether each resource of a lower level has its own.
fn is_unique_key(tag: Tag) -> bool {
    Level::ALL
        .into_iter()
        .any(|level| model::unique_key(level) == tag)
}
