//! Queries as Python hands them over.

use std::collections::BTreeMap;

use serde::Deserialize;
use vna_dicom::{Level, Tag, tag_for_keyword};
use vna_index::{Index, IndexError, Page, Query, View};

use crate::error::ArchiveError;

/// A query: a level, matching keys as C-FIND writes them, and a page.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FindRequest {
    /// `Patient`, `Study`, `Series` or `Instance`.
    pub level: String,
    /// Keyword or eight hex digits of a tag, and what it must match.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Whole objects rather than ids.
    #[serde(default)]
    pub expand: bool,
    /// How many to leave out first.
    #[serde(default)]
    pub since: u64,
    /// How many to give; 0: all.
    #[serde(default)]
    pub limit: u64,
}

/// Answers a query with a JSON list.
///
/// # Errors
///
/// [`IndexError::BadQuery`] for a level or tag that there is not, and for a tag that the index does not keep:
/// better no answer than one that left a condition out.
pub fn find_json(
    index: &dyn Index,
    tenant: i64,
    request: &FindRequest,
    view: View,
) -> Result<Vec<u8>, ArchiveError> {
    let level = level_named(&request.level).ok_or_else(|| IndexError::BadQuery {
        problem: format!(
            "Level is {:?}; it must be Patient, Study, Series or Instance",
            request.level
        ),
    })?;
    let mut query = Query::all(tenant, level);
    query.page = Page {
        since: request.since,
        limit: request.limit,
    };
    for (name, value) in &request.query {
        let tag = tag_named(name).ok_or_else(|| IndexError::BadQuery {
            problem: format!("Query names {name:?}; a keyword or eight hex digits would be right"),
        })?;
        query = query.key(tag, value);
    }
    let (json, unchecked) = index.query_json(&query, request.expand, view)?;
    match unchecked.first() {
        None => Ok(json),
        Some(key) => Err(IndexError::BadQuery {
            problem: format!(
                "the index does not keep {}; search for an indexed tag",
                key.tag
            ),
        }
        .into()),
    }
}

/// The level of that name, as singular or plural, in any case.
pub fn level_named(name: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| {
        level.as_str().eq_ignore_ascii_case(name) || level.plural().eq_ignore_ascii_case(name)
    })
}

fn tag_named(name: &str) -> Option<Tag> {
    if name.len() == 8 {
        if let Ok(number) = u32::from_str_radix(name, 16) {
            return Some(Tag::from_u32(number));
        }
    }
    tag_for_keyword(name)
}
