//! Resources as values: what DIMSE and DICOMweb answer from.

use super::read::Snapshot;
use super::resource::{packed, public_id, text};
use super::rows::Columns;
use super::source::{Source, packed_column, table};
use super::tags::Tags;
use crate::bits::Unsigned;
use crate::error::Doing;
use crate::{IndexError, Match, Query};
use rusqlite::Row;
use vna_dicom::{Level, Tag, tags as t};

const DOING: &str = "reading what matches";

/// Where the values of a match are in a row.
struct Reader {
    ids: Vec<usize>,
    /// Packed tags of the levels from which they are told, and the UID of each.
    tags: Vec<(usize, Option<(Tag, usize)>)>,
    issuer: usize,
    sop_class: Option<usize>,
    counts: Option<[Option<usize>; 3]>,
    modalities: Option<usize>,
    sop_classes: Option<usize>,
    labels: Option<usize>,
}

/// What is told of each resource.
pub(crate) fn matches(
    snapshot: &Snapshot<'_>,
    query: &Query,
    ids: &[i64],
) -> Result<Vec<Match>, IndexError> {
    let mut columns = Columns::new(query.level);
    let reader = Reader::new(query, &mut columns);
    let mut matches = Vec::with_capacity(ids.len());
    columns.each(snapshot.connection, ids, |row| {
        matches.push(reader.read(row)?);
        Ok(())
    })?;
    Ok(matches)
}

impl Reader {
    fn new(query: &Query, columns: &mut Columns) -> Reader {
        let level = query.level;
        let path = || Level::ALL.into_iter().filter(move |at| *at <= level);
        let mut at =
            |source: Source| columns.add(source.expression_in(level, query.study_label.as_deref()));
        let classes = query.wanted.classes;
        let modalities = (classes && level == Level::Study).then(|| at(Source::Modalities));
        let sop_classes = match level {
            Level::Study if classes => Some(at(Source::SopClasses)),
            Level::Series if classes => Some(at(Source::SeriesClasses)),
            _ => None,
        };
        let issuer = at(Source::Issuer);
        let sop_class = (level == Level::Instance).then(|| at(Source::SopClass));
        let mut count = |what, lowest| (level <= lowest).then(|| at(Source::Count(level, what)));
        let counts = query.wanted.counts.then(|| {
            [
                count(Level::Study, Level::Patient),
                count(Level::Series, Level::Study),
                count(Level::Instance, Level::Series),
            ]
        });
        let tags = path()
            .filter(|of| *of > Level::Patient || level == Level::Patient)
            .map(|of| {
                let uid = super::place::own_uid(of)
                    .map(|tag| (tag, columns.add(Source::Uid(of).expression(level))));
                (columns.add(packed_column(level, of)), uid)
            })
            .collect();
        Reader {
            ids: path()
                .map(|of| columns.add(format!("{}.public_id", table(of))))
                .collect(),
            tags,
            issuer,
            sop_class,
            counts,
            modalities,
            sop_classes,
            labels: query.wanted.labels.then(|| {
                columns.add(format!(
                    "(SELECT vna_texts(label) FROM label WHERE label.resource = {}.id)",
                    table(level)
                ))
            }),
        }
    }

    fn read(&self, row: &Row<'_>) -> Result<Match, IndexError> {
        let ids = self.ids.iter().map(|at| public_id(row, *at));
        let count = |at: Option<usize>| match at {
            Some(at) => row
                .get::<_, i64>(at)
                .doing(DOING)
                .map(|count| Some(count.unsigned())),
            None => Ok(None),
        };
        let [studies, series, instances] = self.counts.unwrap_or_default();
        Ok(Match {
            ids: ids.collect::<Result<_, _>>()?,
            tags: self.tags(row)?,
            studies: count(studies)?,
            series: count(series)?,
            instances: count(instances)?,
            modalities: list(row, self.modalities)?,
            sop_classes: list(row, self.sop_classes)?,
            labels: list(row, self.labels)?,
        })
    }

    fn tags(&self, row: &Row<'_>) -> Result<Vec<(Tag, String)>, IndexError> {
        let mut all: Vec<(Tag, String)> = Vec::new();
        for (at, uid) in &self.tags {
            for item in Tags::new(packed(row, *at)?) {
                let (tag, value) = item?;
                // A tag of two levels is told of the lower one.
                all.retain(|(before, _)| *before != tag);
                all.push((tag, value.to_owned()));
            }
            if let Some((tag, at)) = uid {
                all.push((*tag, text(row, *at)?.to_owned()));
            }
        }
        if let Some(issuer) = Source::Issuer.value(row, self.issuer, t::ISSUER_OF_PATIENT_ID)? {
            all.push((t::ISSUER_OF_PATIENT_ID, issuer.into_owned()));
        }
        if let Some(at) = self.sop_class {
            all.push((t::SOP_CLASS_UID, text(row, at)?.to_owned()));
        }
        all.sort_unstable_by_key(|(tag, _)| *tag);
        Ok(all)
    }
}

/// Texts that were joined.
fn list(row: &Row<'_>, at: Option<usize>) -> Result<Vec<String>, IndexError> {
    let Some(at) = at else { return Ok(Vec::new()) };
    let joined: Option<String> = row.get(at).doing(DOING)?;
    Ok(joined.map_or_else(Vec::new, |joined| {
        joined.split('\\').map(str::to_owned).collect()
    }))
}
