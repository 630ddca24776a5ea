//! QIDO-RS (PS3.18 §10.6): searches as web clients write them.
//!
//! 1. A search becomes the same conditions as the identifier of a C-FIND: what the index can compare it compares, the
//!    rest is compared with stored headers. No parameter is ever ignored without a warning.
//! 2. Answers go from rows of the index to JSON or XML; trees are made only of what must be read from headers.
//! 3. Matching is relational, dates and times together are moments, in the time zone that the search names
//!    (PS3.18 §8.3.4.1.1). Answers have them as they are stored.

mod attributes;
mod fields;
mod parameters;

pub use parameters::{SearchTarget, WebSearch};

use std::time::Instant;

use serde::Deserialize;
use vna_dicom::{Level, Model, RowValue, Tag, Value, Vr, tags as t, write_row};
use vna_index::{Case, ValueRow};

use crate::archive::Archive;
use crate::cfind::{
    Cell, Headers, Identifier, Outcome, Reading, Scope, Search, Sources, cell, element_text,
};
use crate::error::ArchiveError;
use crate::find::headers::check_time;
use crate::find::{FindProblem, MAX_SEARCH, Wrong};
use fields::{Field, Fields, Source};

/// Candidates that are looked at at a time.
const PAGE_CANDIDATES: usize = 512;

/// Longest answer: some 50,000 studies, or 5,000 instances with all that is known of them.
const MAX_ANSWER_BYTES: usize = 64 << 20;

const RETRIEVE_URL: Tag = Tag(0x0008, 0x1190);

/// What a search depends on beside what it asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchOptions {
    /// Whose archive.
    pub tenant: i64,
    /// Most results, whatever is asked for.
    pub max_results: u64,
    /// The address of the studies service, for Retrieve URL.
    pub root: String,
    /// The answer is multipart/related of XML, with this boundary; without, JSON.
    #[serde(default)]
    pub boundary: Option<String>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SearchAnswer {
    /// A JSON array, or the parts of a multipart body.
    pub body: Vec<u8>,
    /// How many results are in it.
    pub results: u64,
    /// What clients must know of the answer.
    pub warnings: Vec<String>,
}

/// Answers a search.
///
/// # Errors
///
/// [`ArchiveError::Find`] if the answer would be too long; else what the index and the store say.
pub fn search(
    archive: &Archive,
    asked: &WebSearch,
    options: &SearchOptions,
) -> Result<SearchAnswer, ArchiveError> {
    let mut out = Writer::new(options);
    let mut warnings = asked.warnings.clone();
    let limit = asked.limit.unwrap_or(u64::MAX).min(options.max_results);
    if asked.is_empty {
        return Ok(out.finish(warnings));
    }
    let mut found = Finding::open(archive, asked, options.tenant, limit)?;
    let is_cut = found.write(archive, asked, limit, &mut out)?;
    if is_cut && asked.limit.is_none_or(|asked| asked > limit) {
        warnings.push(
            "The number of results exceeded the maximum supported by the server. Additional results can be requested."
                .into(),
        );
    } else if is_cut {
        warnings.push("There are additional results that can be requested".into());
    }
    Ok(out.finish(warnings))
}

/// A search that is being answered.
struct Finding {
    search: Search,
    /// What the index is asked for of each resource.
    tags: Vec<Tag>,
    fields: Vec<Field>,
    /// Top-level attributes that must have no value (PS3.18 §8.3.4.5).
    empties: Vec<Tag>,
}

impl Finding {
    fn open(
        archive: &Archive,
        asked: &WebSearch,
        tenant: i64,
        limit: u64,
    ) -> Result<Finding, ArchiveError> {
        let identifier = Identifier {
            keys: asked.keys.clone(),
            ..Identifier::default()
        };
        let scope = Scope {
            tenant,
            label: None,
            level: asked.level,
            combined: true,
            zone: asked.zone,
            case: if asked.fuzzy {
                Case::Fuzzy
            } else {
                Case::Standard
            },
        };
        // One more than is told, to see whether there are more.
        let most = match asked.empties.is_empty() {
            true => asked.offset.saturating_add(limit).saturating_add(1),
            false => 0,
        };
        let mut search = Search::open(archive, &identifier, &scope, most)?;
        let Fields {
            fields,
            tags,
            from_headers,
        } = Fields::of(asked, &search);
        search.needs.own_shown = from_headers;
        Ok(Finding {
            search,
            tags,
            fields,
            empties: asked.empties.clone(),
        })
    }

    /// Writes the page that is asked for; says whether there is more behind it.
    fn write(
        &mut self,
        archive: &Archive,
        asked: &WebSearch,
        limit: u64,
        out: &mut Writer<'_>,
    ) -> Result<bool, ArchiveError> {
        let until = Instant::now() + MAX_SEARCH;
        let all_match = !self.search.has_conditions() && self.empties.is_empty();
        let mut before = asked.offset;
        if all_match {
            self.search
                .go_to(usize::try_from(before).unwrap_or(usize::MAX));
            before = 0;
        }
        let reading = Reading {
            archive,
            tenant: self.search.tenant,
            level: self.search.level,
            study_label: None,
            until,
            pause: None,
        };
        let index = archive.index();
        loop {
            let candidates = self.search.candidates(PAGE_CANDIDATES).to_vec();
            if candidates.is_empty() {
                return Ok(false);
            }
            check_time(until)?;
            let values = index.values(reading.level, &candidates, &self.tags, None)?;
            let mut firsts = self.search.needs.first_instances(reading, &candidates)?;
            for row in values.rows() {
                if all_match && out.results == limit {
                    return Ok(true);
                }
                let mut headers = Headers::default();
                if self.search.needs.reads_files() {
                    let read =
                        self.search
                            .needs
                            .read(reading, row.id, firsts.get(reading, row.id))?;
                    match read {
                        Outcome::Matches(read) => headers = read,
                        Outcome::Differs | Outcome::Paused => continue,
                    }
                }
                if !self.matches(&row, &headers) {
                    continue;
                }
                if before > 0 {
                    before -= 1;
                    continue;
                }
                if out.results == limit {
                    return Ok(true);
                }
                self.row(row, &headers, out)?;
            }
            self.search.go_to(self.search.at() + candidates.len());
        }
    }

    /// Whether a candidate matches what is compared behind the index.
    fn matches(&self, row: &ValueRow<'_>, headers: &Headers) -> bool {
        self.search.moments_match(&self.tags, row, headers)
            && self
                .empties
                .iter()
                .all(|tag| self.is_empty(*tag, row, headers))
    }

    fn is_empty(&self, tag: Tag, row: &ValueRow<'_>, headers: &Headers) -> bool {
        if let Some(at) = self.tags.iter().position(|one| *one == tag) {
            return row.get(at).is_none_or(|text| text.trim().is_empty());
        }
        let own = headers.own.as_ref();
        let found = own.and_then(|own| Some((own.data_set.get(tag)?, &own.charset)));
        found.is_none_or(|(element, charset)| match &element.value {
            Value::Items(items) => items.is_empty(), // the text of a sequence is always empty
            value => {
                let text = element_text(element, charset);
                value.is_empty() || text.is_some_and(|(_, text)| text.trim().is_empty())
            }
        })
    }

    fn row(
        &self,
        row: ValueRow<'_>,
        headers: &Headers,
        out: &mut Writer<'_>,
    ) -> Result<(), ArchiveError> {
        let sources = Sources {
            row: Some(row),
            headers,
        };
        let url = self.retrieve_url(&row, out.root());
        let cells: Vec<(&Field, Cell<'_>)> = self
            .fields
            .iter()
            .map(|field| match &field.source {
                Source::Column(column) => (field, cell(column, sources, &[])),
                Source::RetrieveUrl => (field, Cell::Text(url.as_str().into())),
            })
            .collect();
        out.row(cells.iter().filter_map(|(field, cell)| {
            let value = match cell {
                Cell::Text(text) if !text.is_empty() => RowValue::Text(text),
                Cell::Stored(element) if field.is_required || !element.value.is_empty() => {
                    RowValue::Element(element)
                }
                _ if field.is_required => RowValue::Empty,
                _ => return None,
            };
            Some((field.tag(), field.vr(), value))
        }));
        if out.body.len() > MAX_ANSWER_BYTES {
            let text = format!(
                "the answer is longer than {MAX_ANSWER_BYTES} bytes; ask for less of each result, or for it in pages, with \
                 offset and limit"
            );
            return Err(FindProblem::new(Wrong::TooLarge, text).into());
        }
        Ok(())
    }

    /// Where a result is retrieved from (PS3.18 §10.4.1).
    fn retrieve_url(&self, row: &ValueRow<'_>, root: &str) -> String {
        let uid = |tag: Tag| {
            let at = self.tags.iter().position(|one| *one == tag);
            at.and_then(|at| row.get(at)).unwrap_or_default()
        };
        let mut url = format!("{root}/studies/{}", uid(t::STUDY_INSTANCE_UID));
        let below = [
            (Level::Series, "series", t::SERIES_INSTANCE_UID),
            (Level::Instance, "instances", t::SOP_INSTANCE_UID),
        ];
        for (level, name, tag) in below {
            if level <= self.search.level {
                url.push_str(&format!("/{name}/{}", uid(tag)));
            }
        }
        url
    }
}

/// Writes results one behind the other.
struct Writer<'o> {
    options: &'o SearchOptions,
    body: Vec<u8>,
    results: u64,
}

impl<'o> Writer<'o> {
    fn new(options: &'o SearchOptions) -> Writer<'o> {
        let body = match options.boundary {
            None => vec![b'['],
            Some(_) => Vec::new(),
        };
        Writer {
            options,
            body,
            results: 0,
        }
    }

    fn root(&self) -> &'o str {
        &self.options.root
    }

    fn row<'a>(&mut self, row: impl Iterator<Item = (Tag, Vr, RowValue<'a>)>) {
        match &self.options.boundary {
            None => {
                if self.results > 0 {
                    self.body.push(b',');
                }
                write_row(&mut self.body, Model::Json, row);
            }
            Some(boundary) => {
                let head = format!("--{boundary}\r\nContent-Type: application/dicom+xml\r\n\r\n");
                self.body.extend_from_slice(head.as_bytes());
                write_row(&mut self.body, Model::Xml, row);
                self.body.extend_from_slice(b"\r\n");
            }
        }
        self.results += 1;
    }

    fn finish(mut self, warnings: Vec<String>) -> SearchAnswer {
        match &self.options.boundary {
            None => self.body.push(b']'),
            // A multipart body has one part at least (RFC 2046 §5.1.1): no result is no body.
            Some(_) if self.results == 0 => {}
            Some(boundary) => self
                .body
                .extend_from_slice(format!("--{boundary}--\r\n").as_bytes()),
        }
        SearchAnswer {
            body: self.body,
            results: self.results,
            warnings,
        }
    }
}
