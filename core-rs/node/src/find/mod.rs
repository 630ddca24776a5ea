//! Searching: queries as clients write them, answered from the index and, where it does not keep a tag, from stored
//! headers.
//!
//! 1. A page is cut after all keys have been compared: no answer lacks a resource because others stood before it.
//! 2. Of each file only as much is read as the elements that are asked for need, and no more than one is held.
//! 3. A search ends at its deadline, whatever it does.

pub(crate) mod headers;
mod metadata;
mod options;
mod problem;
mod request;

pub use metadata::{MetadataForm, metadata_entry, metadata_json, metadata_value};
pub use options::ListOptions;
pub(crate) use problem::shown;
pub use problem::{FindProblem, Wrong};

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde::Deserialize;
use vna_dicom::{Level, PublicId, Tag};
use vna_index::{Page, Query, Requested, Shape, is_indexed};

use crate::archive::Archive;
use crate::error::ArchiveError;
use headers::Headers;
use request::Request;

/// How long a search may take. A search of the index takes milliseconds; one that must open a stored file for each
/// candidate looks at some 10,000 a second.
pub const MAX_SEARCH: Duration = Duration::from_secs(60);

/// Answers the body of `POST /tools/find` with a JSON list of what a tenant has.
///
/// # Errors
///
/// [`ArchiveError::Find`] names what is wrong with the request; else what the index and the store say.
pub fn find_json(archive: &Archive, tenant: i64, body: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let request = Request::parse(body, tenant, request::For::Find)?;
    if request.is_empty {
        return Ok(b"[]".to_vec());
    }
    answer(archive, request.query, request.shape.as_ref())
}

/// Answers the body of `POST /tools/count-resources`.
///
/// # Errors
///
/// As [`find_json`].
pub fn count_json(archive: &Archive, tenant: i64, body: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let request = Request::parse(body, tenant, request::For::Count)?;
    if request.is_empty {
        return Ok(b"{\"Count\":0}".to_vec());
    }
    let mut query = request.query;
    query.page = Page::default();
    let until = Instant::now() + MAX_SEARCH;
    query.until = Some(until);
    let (mut count, headers) = archive.index().count(&query)?;
    if !headers.is_empty() {
        let found = archive.index().find(&query)?;
        let mut reader = Headers::new(archive, &query, &headers, until);
        count = 0;
        reader.each_match(&found.resources, |_| {
            count += 1;
            true
        })?;
    }
    Ok(format!("{{\"Count\":{count}}}").into_bytes())
}

/// The resources of a level.
///
/// # Errors
///
/// As [`find_json`].
pub fn list_json(
    archive: &Archive,
    tenant: i64,
    level: Level,
    page: Page,
    options: &ListOptions,
) -> Result<Vec<u8>, ArchiveError> {
    let shape = options.shape()?;
    if needs_headers(level, shape.as_ref()) {
        let mut query = Query::all(tenant, level);
        query.page = page;
        return answer(archive, query, shape.as_ref());
    }
    let index = archive.index();
    Ok(index.list_json(tenant, level, page, shape.as_ref())?)
}

/// One resource, or the one of level `related` above it, or those of that level below it.
///
/// # Errors
///
/// As [`find_json`]; [`ArchiveError::NotFound`] if there is no such resource.
pub fn related_json(
    archive: &Archive,
    tenant: i64,
    level: Level,
    id: &PublicId,
    related: Level,
    options: &ListOptions,
) -> Result<Vec<u8>, ArchiveError> {
    let mut shape = options.shape()?;
    let not_found = || ArchiveError::NotFound {
        level,
        public_id: *id,
    };
    let index = archive.index();
    if related <= level {
        let shape = shape.get_or_insert_with(Shape::whole);
        if needs_headers(related, Some(shape)) {
            let number = index.number(tenant, level, id, related)?;
            let number = number.ok_or_else(not_found)?;
            let until = Instant::now() + MAX_SEARCH;
            let list = write(archive, (tenant, related), &[number], Some(shape), until)?;
            // The one object of the list; it may have gone since.
            let object = list
                .strip_prefix(b"[")
                .and_then(|rest| rest.strip_suffix(b"]"));
            let object = object.filter(|object| !object.is_empty());
            return Ok(object.ok_or_else(not_found)?.to_vec());
        }
    } else if needs_headers(related, shape.as_ref()) {
        let known = index.number(tenant, level, id, level)?;
        known.ok_or_else(not_found)?;
        let mut query = Query::all(tenant, related);
        query.parents = vec![(level, *id)];
        return answer(archive, query, shape.as_ref());
    }
    let json = index.related_json(tenant, level, id, related, shape.as_ref())?;
    json.ok_or_else(not_found)
}

/// What `POST /tools/bulk-content` asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct BulkContent {
    /// Public ids of any level.
    resources: Vec<String>,
    /// Not these are shown, but those of this level that they are in, or that are in them.
    #[serde(default)]
    level: Option<String>,
    /// Metadata too.
    #[serde(default = "yes")]
    metadata: bool,
    #[serde(default)]
    short: bool,
    #[serde(default)]
    full: bool,
}

fn yes() -> bool {
    true
}

/// Resources of any level by their ids, whole; those that are not there are left out.
///
/// # Errors
///
/// As [`find_json`].
pub fn bulk_content_json(
    archive: &Archive,
    tenant: i64,
    wanted: &BulkContent,
) -> Result<Vec<u8>, ArchiveError> {
    let lifted = match &wanted.level {
        None => None,
        Some(name) => Some(level_named(name).ok_or_else(|| {
            let text = format!(
                "Level is {}; it takes Patient, Study, Series or Instance",
                shown(name)
            );
            FindProblem::new(Wrong::Range, text)
        })?),
    };
    let mut shape = Shape::whole();
    shape.form = options::form(wanted.short, wanted.full);
    shape.content.metadata = wanted.metadata;
    let until = Instant::now() + MAX_SEARCH;
    let index = archive.index();
    let mut seen = HashSet::new();
    let mut list: Vec<u8> = vec![b'['];
    for id in wanted.resources.iter().filter_map(|id| id.parse().ok()) {
        headers::check_time(until)?;
        for level in Level::ALL {
            let Some(own) = index.number(tenant, level, &id, level)? else {
                continue;
            };
            let at = lifted.unwrap_or(level);
            let mut numbers = match at {
                below if below > level => {
                    let mut query = Query::all(tenant, below);
                    query.parents = vec![(level, id)];
                    query.until = Some(until);
                    index.find(&query)?.resources
                }
                same if same == level => vec![own],
                above => index
                    .number(tenant, level, &id, above)?
                    .into_iter()
                    .collect(),
            };
            numbers.retain(|number| seen.insert(*number));
            let part = index.write_json(at, &numbers, Some(&shape), &HashMap::new())?;
            append(&mut list, &part)?;
        }
    }
    list.push(b']');
    Ok(list)
}

/// Adds the objects of a list to one that is not closed yet.
fn append(list: &mut Vec<u8>, part: &[u8]) -> Result<(), FindProblem> {
    let objects = part
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .unwrap_or_default();
    if list.len() > 1 && !objects.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(objects);
    if list.len() > MAX_ANSWER_BYTES {
        return Err(FindProblem::too_long(MAX_ANSWER_BYTES));
    }
    Ok(())
}

/// What a shape shows that the index does not keep.
fn unknown(level: Level, shape: &Shape) -> impl Iterator<Item = Tag> + '_ {
    let requested = shape.requested.iter().copied();
    requested.filter(move |tag| !is_indexed(level, *tag))
}

/// Whether headers must be read for what a shape shows.
fn needs_headers(level: Level, shape: Option<&Shape>) -> bool {
    shape.is_some_and(|shape| unknown(level, shape).next().is_some())
}

fn answer(
    archive: &Archive,
    mut query: Query,
    shape: Option<&Shape>,
) -> Result<Vec<u8>, ArchiveError> {
    let until = Instant::now() + MAX_SEARCH;
    query.until = Some(until);
    let index = archive.index();
    if !needs_headers(query.level, shape) {
        if let Some(json) = index.query_json(&query, shape)? {
            return Ok(json);
        }
    }
    let found = index.find(&query)?;
    let mut resources = found.resources;
    if !found.headers.is_empty() {
        let (since, limit) = (query.page.since, query.page.limit);
        let (mut seen, mut matching) = (0, Vec::new());
        let mut reader = Headers::new(archive, &query, &found.headers, until);
        reader.each_match(&resources, |id| {
            seen += 1;
            if seen > since {
                matching.push(id);
            }
            limit == 0 || seen < since.saturating_add(limit)
        })?;
        resources = matching;
    }
    write(
        archive,
        (query.tenant, query.level),
        &resources,
        shape,
        until,
    )
}

/// Resources whose headers are read at a time for what they show.
const WRITTEN_AT_ONCE: usize = 1_000;

/// Writes resources, with what must be read from the header of the first instance of each.
fn write(
    archive: &Archive,
    (tenant, level): (i64, Level),
    ids: &[i64],
    shape: Option<&Shape>,
    until: Instant,
) -> Result<Vec<u8>, ArchiveError> {
    let index = archive.index();
    let unknown: Vec<Tag> = shape.map_or_else(Vec::new, |shape| unknown(level, shape).collect());
    let Some(shape) = shape.filter(|_| !unknown.is_empty()) else {
        return Ok(index.write_json(level, ids, shape, &HashMap::new())?);
    };
    let mut list: Vec<u8> = vec![b'['];
    for chunk in ids.chunks(WRITTEN_AT_ONCE) {
        let mut read: HashMap<i64, Vec<Requested>> = HashMap::new();
        let firsts = index.first_instances(level, chunk, None)?;
        for (id, located) in headers::one_by_one(archive, &firsts) {
            headers::check_time(until)?;
            // What has gone meanwhile, or cannot be read, shows none of its tags.
            let Some(selected) = headers::select(archive, tenant, located, &unknown)? else {
                continue;
            };
            let values = unknown.iter().filter_map(|tag| {
                let json = selected.json(*tag, shape.form)?;
                Some(Requested { tag: *tag, json })
            });
            read.insert(*id, values.collect());
        }
        let part = index.write_json(level, chunk, Some(shape), &read)?;
        append(&mut list, &part)?;
    }
    list.push(b']');
    Ok(list)
}

/// Longest answer, as the index has it for those that it gives alone.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// The level of that name, as singular or plural, in any case.
pub fn level_named(name: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| {
        level.as_str().eq_ignore_ascii_case(name) || level.plural().eq_ignore_ascii_case(name)
    })
}

/// The tag of a keyword or number: `gggg,eeee`, `gggg-eeee` or `ggggeeee`.
pub fn tag_named(name: &str) -> Option<Tag> {
    let digits = match name.as_bytes() {
        [_, _, _, _, b',' | b'-', _, _, _, _] if name.is_ascii() => {
            format!("{}{}", &name[..4], &name[5..])
        }
        _ => name.to_owned(),
    };
    let is_number = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_number {
        return u32::from_str_radix(&digits, 16).ok().map(Tag::from_u32);
    }
    vna_dicom::tag_for_keyword(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_keywords_and_numbers() {
        let name = Tag(0x0010, 0x0010);
        for text in ["PatientName", "0010,0010", "0010-0010", "00100010"] {
            assert_eq!(tag_named(text), Some(name), "{text}");
        }
        assert_eq!(tag_named("7fe0,0010"), Some(Tag(0x7FE0, 0x0010)));
        for text in [
            "",
            "patientname",
            "0010|0010",
            "0010,001",
            "+010,0010",
            "0010,00é",
        ] {
            assert_eq!(tag_named(text), None, "{text}");
        }
    }

    #[test]
    fn levels_have_names_in_singular_and_plural() {
        assert_eq!(level_named("study"), Some(Level::Study));
        assert_eq!(level_named("Studies"), Some(Level::Study));
        assert_eq!(level_named("Foo"), None);
    }
}
