//! What reading connections add to SQL.

use super::tags;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use vna_dicom::Tag;

/// `rarray(?)`: a list of ids as a table. `vna_tag(tags, number)`: the value of a tag in a packed value, or NULL if it is absent or empty.
pub(crate) fn register(connection: &Connection) -> Result<(), rusqlite::Error> {
    rusqlite::vtab::array::load_module(connection)?;
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8;
    connection.create_scalar_function("vna_tag", 2, flags, |context| {
        let packed = context.get_raw(0).as_blob().unwrap_or(&[]);
        let tag = u32::try_from(context.get::<i64>(1)?).map_or(Tag(0, 0), Tag::from_u32);
        Ok(tags::find(packed, tag)
            .filter(|value| !value.is_empty())
            .map(str::to_owned))
    })
}
