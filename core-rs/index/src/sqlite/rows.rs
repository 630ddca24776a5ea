//! Rows of known resources: one statement for many of them, with the values that are asked for.

use super::compile::join_above;
use super::source::table;
use crate::IndexError;
use crate::error::Doing;
use rusqlite::{Connection, Row, params};
use std::borrow::Cow;
use vna_dicom::Level;

/// Resources in one statement. It bounds the list that goes with it.
const CHUNK: usize = 4_096;

/// The columns of a statement at a level; the first is the id.
pub(crate) struct Columns {
    level: Level,
    expressions: Vec<Cow<'static, str>>,
    with_blob: bool,
}

impl Columns {
    pub(crate) fn new(level: Level) -> Columns {
        Columns {
            level,
            expressions: vec![Cow::Owned(format!("{}.id", table(level)))],
            with_blob: false,
        }
    }

    /// Adds a column, unless it is there, and says which one it is.
    pub(crate) fn add(&mut self, expression: impl Into<Cow<'static, str>>) -> usize {
        let expression = expression.into();
        if let Some(at) = self.expressions.iter().position(|one| *one == expression) {
            return at;
        }
        self.expressions.push(expression);
        self.expressions.len() - 1
    }

    /// A column of the resource's own table.
    pub(crate) fn own(&mut self, column: &str) -> usize {
        self.add(format!("{}.{column}", table(self.level)))
    }

    /// A column of the instance's blob.
    pub(crate) fn blob(&mut self, column: &str) -> usize {
        self.with_blob = true;
        self.add(format!("blob.{column}"))
    }

    /// The statement for resources of `?1`: one id, or a list.
    fn sql(&self, many: bool) -> String {
        let own = table(self.level);
        let mut sql = format!("SELECT {} FROM ", self.expressions.join(", "));
        sql.push_str(&if many {
            format!("rarray(?1) AS chosen CROSS JOIN {own} ON {own}.id = chosen.value")
        } else {
            own.to_owned()
        });
        let above = || Level::ALL.into_iter().rev().filter(|at| *at < self.level);
        above().for_each(|at| sql.push_str(join_above(at)));
        if self.with_blob {
            sql.push_str(" CROSS JOIN blob ON blob.id = instance.blob");
        }
        sql.push_str(&format!(" WHERE {own}.state = 0"));
        above().for_each(|at| sql.push_str(&format!(" AND {}.state = 0", table(at))));
        if !many {
            sql.push_str(&format!(" AND {own}.id = ?1"));
        }
        sql
    }

    /// Hands the rows of the resources that are (still) live to `visit`, in the order of `ids`.
    pub(crate) fn each(
        &self,
        connection: &Connection,
        ids: &[i64],
        mut visit: impl FnMut(&Row<'_>) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        const DOING: &str = "reading resources";
        let many = ids.len() > 1;
        let mut statement = connection.prepare_cached(&self.sql(many)).doing(DOING)?;
        for chunk in ids.chunks(CHUNK) {
            let mut rows = match chunk {
                [id] if !many => statement.query(params![id]),
                ids => statement.query(params![super::candidates::array(ids)]),
            }
            .doing(DOING)?;
            while let Some(row) = rows.next().doing(DOING)? {
                visit(row)?;
            }
        }
        Ok(())
    }
}
