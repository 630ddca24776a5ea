//! What reading connections add to SQL.

use super::tags;
use crate::normal::fold;
use crate::time;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Error};
use std::collections::BTreeSet;
use vna_dicom::Tag;

/// - `rarray(?)`: a list of ids as a table.
/// - `vna_tag(tags, number)`: the value of a tag in a packed value, or NULL if it is absent or empty.
/// - `vna_fold(text)`: see [`register_fold`].
/// - `vna_moment(us)`: a moment as `yyyymmddThhmmss`.
/// - `vna_ids(id, public_id)`: public ids end to end, in the order of the ids.
/// - `vna_texts(text)`: texts that are not empty, each once, sorted, joined by `\`; NULL if there is none.
/// - `vna_status(number, expected)`: whether the instances of a series with these numbers are all that it announced.
pub(crate) fn register(connection: &Connection) -> Result<(), Error> {
    rusqlite::vtab::array::load_module(connection)?;
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8;
    connection.create_scalar_function("vna_tag", 2, flags, |context| {
        let packed = context.get_raw(0).as_blob().unwrap_or(&[]);
        let tag = u32::try_from(context.get::<i64>(1)?).map_or(Tag(0, 0), Tag::from_u32);
        Ok(tags::find(packed, tag)
            .filter(|value| !value.is_empty())
            .map(str::to_owned))
    })?;
    connection.create_scalar_function("vna_moment", 1, flags, |context| {
        let mut text = String::with_capacity(15);
        time::write_compact(context.get(0)?, &mut text);
        Ok(text)
    })?;
    register_fold(connection)?;
    connection.create_aggregate_function("vna_ids", 2, flags, Ids)?;
    connection.create_aggregate_function("vna_texts", 1, flags, Texts)?;
    connection.create_aggregate_function("vna_status", 2, flags, Status)
}

/// `vna_fold(text)`: the form in which texts are searched and ordered; NULL for none.
pub(crate) fn register_fold(connection: &Connection) -> Result<(), Error> {
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8;
    connection.create_scalar_function("vna_fold", 1, flags, |context| {
        let text = context.get_raw(0).as_str_or_null().unwrap_or(None);
        Ok(text.map(|text| fold(text.trim())))
    })
}

struct Ids;

impl Aggregate<Vec<(i64, [u8; 20])>, Vec<u8>> for Ids {
    fn init(&self, _: &mut Context<'_>) -> Result<Vec<(i64, [u8; 20])>, Error> {
        Ok(Vec::new())
    }

    fn step(&self, context: &mut Context<'_>, all: &mut Vec<(i64, [u8; 20])>) -> Result<(), Error> {
        all.push((context.get(0)?, context.get(1)?));
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        all: Option<Vec<(i64, [u8; 20])>>,
    ) -> Result<Vec<u8>, Error> {
        let mut all = all.unwrap_or_default();
        if !all.is_sorted_by_key(|(id, _)| *id) {
            all.sort_unstable_by_key(|(id, _)| *id);
        }
        Ok(all
            .into_iter()
            .flat_map(|(_, public_id)| public_id)
            .collect())
    }
}

struct Texts;

impl Aggregate<BTreeSet<String>, Option<String>> for Texts {
    fn init(&self, _: &mut Context<'_>) -> Result<BTreeSet<String>, Error> {
        Ok(BTreeSet::new())
    }

    fn step(&self, context: &mut Context<'_>, all: &mut BTreeSet<String>) -> Result<(), Error> {
        let text = context.get_raw(0).as_str().unwrap_or("");
        if !text.is_empty() && !all.contains(text) {
            all.insert(text.to_owned());
        }
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        all: Option<BTreeSet<String>>,
    ) -> Result<Option<String>, Error> {
        let all: Vec<String> = all.unwrap_or_default().into_iter().collect();
        Ok((!all.is_empty()).then(|| all.join("\\")))
    }
}

struct Status;

/// The numbers of a series' instances: instances without one say nothing.
#[derive(Default)]
struct Numbers {
    seen: BTreeSet<i64>,
    expected: i64,
}

impl Aggregate<Numbers, &'static str> for Status {
    fn init(&self, _: &mut Context<'_>) -> Result<Numbers, Error> {
        Ok(Numbers::default())
    }

    fn step(&self, context: &mut Context<'_>, numbers: &mut Numbers) -> Result<(), Error> {
        numbers.expected = context.get(1)?;
        numbers.seen.extend(context.get::<Option<i64>>(0)?);
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        numbers: Option<Numbers>,
    ) -> Result<&'static str, Error> {
        let Numbers { seen, expected } = numbers.unwrap_or_default();
        let beyond = |number: &i64| !(1..=expected).contains(number);
        // Between 1 and `expected` there are so many numbers.
        let complete = i64::try_from(seen.len()).is_ok_and(|count| count == expected);
        Ok(if seen.iter().any(beyond) {
            "Inconsistent"
        } else if complete {
            "Complete"
        } else {
            "Missing"
        })
    }
}
