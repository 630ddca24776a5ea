//! Values of a page of resources, and the instances below them.

use super::candidates::array;
use super::compile::{join_above, join_below};
use super::read::Snapshot;
use super::resource::{packed, public_id};
use super::rows::Columns;
use super::source::{Source, in_view, source, table};
use super::tags::Tags;
use crate::error::Doing;
use crate::{IndexError, InstanceUids, Values};
use rusqlite::params;
use vna_dicom::{Level, Tag};

/// The values of `tags` of each resource that is live; none of tags that the index does not keep at this level.
pub(crate) fn values(
    snapshot: &Snapshot<'_>,
    level: Level,
    ids: &[i64],
    wanted: &[Tag],
    study_label: Option<&str>,
) -> Result<Values, IndexError> {
    let mut columns = Columns::new(level);
    let sources: Vec<Option<(Source, usize)>> = wanted
        .iter()
        .map(|tag| {
            let source = source(level, *tag)?;
            Some((
                source,
                columns.add(source.expression_in(level, study_label)),
            ))
        })
        .collect();
    let mut values = Values::new(wanted.len());
    columns.each(snapshot.connection, ids, |row| {
        values.begin(row.get(0).doing("reading values")?);
        let mut open: Option<Pass<'_>> = None;
        for (tag, source) in wanted.iter().zip(&sources) {
            match source {
                None => values.push(None),
                Some((Source::Packed(_), at)) => {
                    let pass = match open.take().filter(|pass| pass.reaches(*at, *tag)) {
                        Some(pass) => pass,
                        None => Pass::new(*at, packed(row, *at)?),
                    };
                    values.push(open.insert(pass).value(*tag)?);
                }
                Some((source, at)) => values.push(source.value(row, *at, *tag)?.as_deref()),
            }
        }
        Ok(())
    })?;
    Ok(values)
}

/// A pass over packed tags, which are sorted. So mostly are those that are asked for: one pass serves many of them.
struct Pass<'r> {
    column: usize,
    rest: Tags<'r>,
    next: Option<(Tag, &'r str)>,
}

impl<'r> Pass<'r> {
    fn new(column: usize, packed: &'r [u8]) -> Self {
        Pass {
            column,
            rest: Tags::new(packed),
            next: None,
        }
    }

    /// Whether a tag of a column is still ahead.
    fn reaches(&self, column: usize, tag: Tag) -> bool {
        self.column == column && self.next.is_none_or(|(next, _)| next <= tag)
    }

    fn value(&mut self, tag: Tag) -> Result<Option<&'r str>, IndexError> {
        while self.next.is_none_or(|(next, _)| next < tag) {
            match self.rest.next() {
                Some(item) => self.next = Some(item?),
                None => break,
            }
        }
        Ok(self
            .next
            .filter(|(next, _)| *next == tag)
            .map(|(_, value)| value))
    }
}

/// The live instances of live resources, in the order of resources and arrival.
pub(crate) fn instances(
    snapshot: &Snapshot<'_>,
    level: Level,
    ids: &[i64],
    study_label: Option<&str>,
) -> Result<Vec<InstanceUids>, IndexError> {
    const DOING: &str = "listing instances";
    let own = table(level);
    let mut sql = format!(
        "SELECT instance.public_id, (SELECT text FROM word WHERE word.id = instance.sop_class), instance.sop_uid,
                (SELECT text FROM word WHERE word.id = instance.syntax), series.series_uid, study.study_uid
         FROM rarray(?1) AS chosen CROSS JOIN {own} ON {own}.id = chosen.value"
    );
    let above = || Level::ALL.into_iter().rev().filter(|at| *at < level);
    let below = || Level::ALL.into_iter().filter(|at| *at > level);
    above().for_each(|at| sql.push_str(join_above(at)));
    below().for_each(|at| sql.push_str(join_below(at)));
    sql.push_str(
        " WHERE patient.state = 0 AND study.state = 0 AND series.state = 0 AND instance.state = 0",
    );
    sql.push_str(&in_view("study", study_label));
    let mut statement = snapshot.connection.prepare_cached(&sql).doing(DOING)?;
    let mut rows = statement.query(params![array(ids)]).doing(DOING)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().doing(DOING)? {
        let text = |at| row.get::<_, String>(at).doing(DOING);
        found.push(InstanceUids {
            public_id: public_id(row, 0)?,
            sop_class_uid: text(1)?,
            sop_instance_uid: text(2)?,
            transfer_syntax_uid: text(3)?,
            series_instance_uid: text(4)?,
            study_instance_uid: text(5)?,
        });
    }
    Ok(found)
}
