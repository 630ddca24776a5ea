//! Resources as objects in JSON: what `GET /{level}/{id}`, lists and queries show.
//!
//! Members are in the order of their names.

use super::read::Snapshot;
use super::resource::{packed, public_id, text};
use super::rows::Columns;
use super::source::{Source, extra_expression, source};
use super::tags::Tags;
use crate::error::Doing;
use crate::json::Json;
use crate::{IndexError, Requested, Shape, metadata};
use rusqlite::Row;
use std::borrow::Cow;
use std::collections::HashMap;
use vna_dicom::{Level, PublicId, Tag, TagsForm, extra_tags, keyword, main_tags};

const READING: &str = "reading a resource";

/// Values of `RequestedTags` that come from stored headers, by resource.
pub(crate) type FromHeaders = HashMap<i64, Vec<Requested>>;

/// Writes resources of a level as an array.
pub(crate) fn array(
    snapshot: &Snapshot<'_>,
    level: Level,
    ids: &[i64],
    shape: &Shape,
    from_headers: &FromHeaders,
) -> Result<Vec<u8>, IndexError> {
    let mut json = Json::new();
    json.open(b'[');
    if !ids.is_empty() {
        let mut columns = Columns::new(level);
        let writer = Writer::new(level, shape, &mut columns);
        columns.each(snapshot.connection, ids, |row| {
            writer.object(row, from_headers, &mut json)?;
            json.check_size()
        })?;
    }
    json.close(b']');
    Ok(json.finish())
}

/// Writes the ids of resources of a level as an array.
pub(crate) fn ids(
    snapshot: &Snapshot<'_>,
    level: Level,
    ids: &[i64],
) -> Result<Vec<u8>, IndexError> {
    let mut json = Json::new();
    json.open(b'[');
    if !ids.is_empty() {
        let mut columns = Columns::new(level);
        let at = columns.own("public_id");
        columns.each(snapshot.connection, ids, |row| {
            json.id(&public_id(row, at)?);
            json.check_size()
        })?;
    }
    json.close(b']');
    Ok(json.finish())
}

/// Writes one resource; `None` if it is not live.
pub(crate) fn object(
    snapshot: &Snapshot<'_>,
    level: Level,
    id: i64,
    shape: &Shape,
) -> Result<Option<Vec<u8>>, IndexError> {
    let mut json = Json::new();
    let mut columns = Columns::new(level);
    let writer = Writer::new(level, shape, &mut columns);
    columns.each(snapshot.connection, &[id], |row| {
        writer.object(row, &FromHeaders::new(), &mut json)
    })?;
    let bytes = json.finish();
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// Metadata columns: number of the type, and where its value is.
fn metadata_columns(level: Level, columns: &mut Columns) -> (Vec<(i64, usize)>, usize) {
    let mut derived = Vec::new();
    for number in 1..=metadata::PIXEL_DATA_VR {
        if let Some(expression) = super::source::derived(level, number) {
            derived.push((number, columns.add(expression)));
        }
    }
    let stored = columns.add(format!(
        "(SELECT json_group_object(type, value) FROM metadata WHERE resource = {}.id)",
        super::source::table(level)
    ));
    (derived, stored)
}

/// The metadata of a row, by number.
fn metadata_of(
    row: &Row<'_>,
    (derived, stored): &(Vec<(i64, usize)>, usize),
) -> Result<Vec<(i64, String)>, IndexError> {
    let mut all: std::collections::BTreeMap<i64, String> = std::collections::BTreeMap::new();
    for (number, at) in derived {
        if let Some(value) = Source::Metadata(*number).value(row, *at, Tag(0, 0))? {
            all.insert(*number, value.into_owned());
        }
    }
    let found = text(row, *stored)?;
    let stored: HashMap<i64, String> =
        serde_json::from_str(found).map_err(|_| IndexError::BadRow {
            table: "metadata",
            column: "value",
            found: found.chars().take(100).collect(),
        })?;
    all.extend(stored);
    Ok(all.into_iter().collect())
}

/// The metadata of one resource, by number; `None` if it is not live.
pub(crate) fn metadata(
    snapshot: &Snapshot<'_>,
    level: Level,
    id: i64,
) -> Result<Option<Vec<(i64, String)>>, IndexError> {
    let mut columns = Columns::new(level);
    let at = metadata_columns(level, &mut columns);
    let mut found = None;
    columns.each(snapshot.connection, &[id], |row| {
        found = Some(metadata_of(row, &at)?);
        Ok(())
    })?;
    Ok(found)
}

/// Writes the objects of one statement: where each member's value is in a row, if it is wanted.
struct Writer<'s> {
    level: Level,
    shape: &'s Shape,
    public_id: usize,
    anonymized_from: Option<usize>,
    /// Key, stored size and plain size of the file of an instance.
    attachment: Option<[usize; 3]>,
    /// What users have attached, as the inside of an array.
    attached: Option<usize>,
    children: Option<usize>,
    expected: Option<usize>,
    /// Size and key.
    file: Option<[usize; 2]>,
    index_in_series: Option<usize>,
    is_protected: Option<usize>,
    is_stable: Option<usize>,
    labels: Option<usize>,
    last_update: Option<usize>,
    main_tags: Option<MainTags>,
    metadata: Option<(Vec<(i64, usize)>, usize)>,
    modified_from: Option<usize>,
    parent: Option<usize>,
    patient_tags: Option<(usize, ExtraColumns)>,
    requested: Vec<(Tag, Option<(Source, usize)>)>,
    status: Option<usize>,
}

struct MainTags {
    packed: usize,
    uid: Option<(Tag, usize)>,
    extra: ExtraColumns,
}

/// Where the values of extra tags are in a row.
type ExtraColumns = Vec<(Tag, usize)>;

fn extra_columns(level: Level, of: Level, columns: &mut Columns) -> ExtraColumns {
    let tags = extra_tags(of).iter();
    tags.map(|tag| (*tag, columns.add(extra_expression(level, of, *tag))))
        .collect()
}

impl<'s> Writer<'s> {
    fn new(level: Level, shape: &'s Shape, columns: &mut Columns) -> Self {
        let show = shape.content;
        let own = super::source::table(level);
        let is_instance = level == Level::Instance;
        let is_series = level == Level::Series;
        let copy_of = |number| Source::Metadata(number).expression(level);
        Writer {
            level,
            shape,
            public_id: columns.own("public_id"),
            anonymized_from: show
                .others
                .then(|| columns.add(copy_of(metadata::ANONYMIZED_FROM))),
            attachment: (show.attachments && is_instance)
                .then(|| ["key", "stored_size", "plain_size"].map(|name| columns.blob(name))),
            attached: show
                .attachments
                .then(|| columns.add(attached_expression(own))),
            children: children_expression(level)
                .filter(|_| show.children)
                .map(|expression| columns.add(expression)),
            expected: (show.others && is_series).then(|| columns.own("expected")),
            file: (show.others && is_instance)
                .then(|| [columns.own("file_size"), columns.blob("key")]),
            index_in_series: (show.others && is_instance).then(|| columns.own("index_in_series")),
            is_protected: (show.is_protected && level == Level::Patient)
                .then(|| columns.own("protected")),
            is_stable: super::awaited::is_stable_sql(level, &format!("{own}.id"))
                .filter(|_| show.is_stable)
                .map(|condition| columns.add(condition)),
            labels: show.labels.then(|| {
                columns.add(format!(
                    "(SELECT vna_texts(label) FROM label WHERE label.resource = {own}.id)"
                ))
            }),
            last_update: (show.others && !is_instance).then(|| columns.own("last_update_us")),
            main_tags: show.main_tags.then(|| MainTags {
                packed: columns.own("tags"),
                uid: super::place::own_uid(level)
                    .map(|tag| (tag, columns.add(Source::Uid(level).expression(level)))),
                extra: extra_columns(level, level, columns),
            }),
            metadata: show.metadata.then(|| metadata_columns(level, columns)),
            modified_from: show
                .others
                .then(|| columns.add(copy_of(metadata::MODIFIED_FROM))),
            parent: level
                .parent()
                .filter(|_| show.parent)
                .map(|above| columns.add(format!("{}.public_id", super::source::table(above)))),
            patient_tags: (show.main_tags && level == Level::Study).then(|| {
                (
                    columns.add("patient.tags"),
                    extra_columns(level, Level::Patient, columns),
                )
            }),
            requested: shape
                .requested
                .iter()
                .map(|tag| {
                    let source = source(level, *tag);
                    let at = source.map(|from| (from, columns.add(from.expression(level))));
                    (*tag, at)
                })
                .collect(),
            status: (show.status && is_series).then(|| {
                columns.add(
                    "CASE WHEN series.expected IS NULL THEN 'Unknown' ELSE
                        (SELECT vna_status(index_in_series, series.expected) FROM instance
                         WHERE instance.series = series.id AND instance.state = 0) END",
                )
            }),
        }
    }

    fn object(
        &self,
        row: &Row<'_>,
        from_headers: &FromHeaders,
        json: &mut Json,
    ) -> Result<(), IndexError> {
        json.open(b'{');
        self.copy_of("AnonymizedFrom", self.anonymized_from, row, json)?;
        self.attachments(row, json)?;
        if let Some(at) = self.expected {
            json.name("ExpectedNumberOfInstances");
            optional(row.get(at).doing(READING)?, json);
        }
        if let Some([size, key]) = self.file {
            json.name("FileSize")
                .number(row.get::<_, i64>(size).doing(READING)?);
            json.name("FileUuid")
                .display(Uuid(row.get(key).doing(READING)?));
        }
        json.name("ID").display(public_id(row, self.public_id)?);
        if let Some(at) = self.index_in_series {
            json.name("IndexInSeries");
            optional(
                row.get::<_, Option<i64>>(at)
                    .doing(READING)?
                    .filter(|index| *index >= 0),
                json,
            );
        }
        if self.level == Level::Series {
            self.children("Instances", row, json)?;
        }
        if let Some(at) = self.is_protected {
            json.name("IsProtected")
                .bool(row.get::<_, i64>(at).doing(READING)? != 0);
        }
        if let Some(at) = self.is_stable {
            json.name("IsStable").bool(row.get(at).doing(READING)?);
        }
        self.labels(row, json)?;
        if let Some(at) = self.last_update {
            json.name("LastUpdate").moment(row.get(at).doing(READING)?);
        }
        if let Some(tags) = &self.main_tags {
            json.name("MainDicomTags");
            let uid = match tags.uid {
                Some((tag, at)) => Some((tag, text(row, at)?)),
                None => None,
            };
            self.tags(row, tags.packed, self.level, (uid, &tags.extra), json)?;
        }
        self.metadata(row, json)?;
        self.copy_of("ModifiedFrom", self.modified_from, row, json)?;
        if let (Some(at), Some(above)) = (self.parent, self.level.parent()) {
            json.name(match above {
                Level::Patient => "ParentPatient",
                Level::Study => "ParentStudy",
                _ => "ParentSeries",
            })
            .display(public_id(row, at)?);
        }
        if let Some((at, extra)) = &self.patient_tags {
            json.name("PatientMainDicomTags");
            self.tags(row, *at, Level::Patient, (None, extra), json)?;
        }
        self.requested(row, from_headers, json)?;
        if self.level == Level::Study {
            self.children("Series", row, json)?;
        }
        if let Some(at) = self.status {
            json.name("Status").text(text(row, at)?);
        }
        if self.level == Level::Patient {
            self.children("Studies", row, json)?;
        }
        json.name("Type").text(self.level.as_str());
        json.close(b'}');
        Ok(())
    }

    fn copy_of(
        &self,
        name: &str,
        at: Option<usize>,
        row: &Row<'_>,
        json: &mut Json,
    ) -> Result<(), IndexError> {
        let Some(at) = at else { return Ok(()) };
        if let Some(original) = row
            .get_ref(at)
            .doing(READING)?
            .as_str_or_null()
            .ok()
            .flatten()
        {
            json.name(name).text(original);
        }
        Ok(())
    }

    /// The file of an instance, and what users have attached. The digest of the first is none that clients know, and
    /// its sum of MD5 is not kept.
    fn attachments(&self, row: &Row<'_>, json: &mut Json) -> Result<(), IndexError> {
        if !self.shape.content.attachments {
            return Ok(());
        }
        json.name("Attachments").open(b'[');
        if let Some([key, stored, plain]) = self.attachment {
            json.open(b'{');
            json.name("CompressedMD5").text("");
            json.name("CompressedSize")
                .number(row.get::<_, i64>(stored).doing(READING)?);
            json.name("ContentType").number(1);
            json.name("UncompressedMD5").text("");
            json.name("UncompressedSize")
                .number(row.get::<_, i64>(plain).doing(READING)?);
            json.name("Uuid")
                .display(Uuid(row.get(key).doing(READING)?));
            json.close(b'}');
        }
        if let Some(at) = self.attached {
            let listed = row.get_ref(at).doing(READING)?.as_str_or_null();
            if let Some(listed) = listed.ok().flatten() {
                json.raw(listed.as_bytes());
            }
        }
        json.close(b']');
        Ok(())
    }

    fn children(&self, name: &str, row: &Row<'_>, json: &mut Json) -> Result<(), IndexError> {
        let Some(at) = self.children else {
            return Ok(());
        };
        json.name(name).open(b'[');
        for id in packed(row, at)?.chunks_exact(20) {
            json.id(&PublicId(id.try_into().unwrap_or_default()));
        }
        json.close(b']');
        Ok(())
    }

    fn labels(&self, row: &Row<'_>, json: &mut Json) -> Result<(), IndexError> {
        let Some(at) = self.labels else {
            return Ok(());
        };
        json.name("Labels").open(b'[');
        if let Some(all) = row
            .get_ref(at)
            .doing(READING)?
            .as_str_or_null()
            .ok()
            .flatten()
        {
            all.split('\\').for_each(|label| json.text(label));
        }
        json.close(b']');
        Ok(())
    }

    fn metadata(&self, row: &Row<'_>, json: &mut Json) -> Result<(), IndexError> {
        let Some(at) = &self.metadata else {
            return Ok(());
        };
        let mut named: Vec<(Cow<'static, str>, String)> = metadata_of(row, at)?
            .into_iter()
            .map(|(number, value)| (metadata::metadata_name(number), value))
            .collect();
        named.sort_unstable();
        json.name("Metadata").open(b'{');
        for (name, value) in &named {
            json.name(name).text(value);
        }
        json.close(b'}');
        Ok(())
    }

    /// Writes the tags of a level, in the order of their names or numbers.
    fn tags(
        &self,
        row: &Row<'_>,
        at: usize,
        level: Level,
        (uid, extra): (Option<(Tag, &str)>, &ExtraColumns),
        json: &mut Json,
    ) -> Result<(), IndexError> {
        let keep = main_tags(level);
        let mut tags: Vec<(Tag, Cow<'_, str>, &str)> = Vec::with_capacity(keep.len());
        let mut add = |tag: Tag, value| {
            if let Some(name) = keyword(tag).filter(|_| keep.binary_search(&tag).is_ok()) {
                tags.push((tag, Cow::Borrowed(name), value));
            }
        };
        if let Some((tag, uid)) = uid {
            add(tag, uid);
        }
        for item in Tags::new(packed(row, at)?) {
            let (tag, value) = item?;
            add(tag, value);
        }
        for (tag, at) in extra {
            let value = row.get_ref(*at).doing(READING)?;
            if let Some(value) = value.as_str_or_null().ok().flatten() {
                // A private tag has no name.
                let number = || Cow::Owned(format!("{:04x},{:04x}", tag.0, tag.1));
                tags.push((
                    *tag,
                    keyword(*tag).map_or_else(number, Cow::Borrowed),
                    value,
                ));
            }
        }
        match self.shape.form {
            TagsForm::Simplified => tags.sort_unstable_by(|(_, a, _), (_, b, _)| a.cmp(b)),
            TagsForm::Full | TagsForm::Short => tags.sort_unstable_by_key(|(tag, ..)| *tag),
        }
        json.open(b'{');
        for (tag, name, value) in tags {
            self.tag(tag, &name, Some(value), json);
        }
        json.close(b'}');
        Ok(())
    }

    fn tag_name(&self, tag: Tag, name: &str, json: &mut Json) {
        match self.shape.form {
            TagsForm::Simplified => json.name(name),
            TagsForm::Full | TagsForm::Short => json.tag_name(tag),
        };
    }

    fn tag(&self, tag: Tag, name: &str, value: Option<&str>, json: &mut Json) {
        self.tag_name(tag, name, json);
        let write = |json: &mut Json| match value {
            Some(value) => json.text(value),
            None => json.null(),
        };
        if self.shape.form != TagsForm::Full {
            return write(json);
        }
        json.open(b'{');
        json.name("Name").text(name);
        json.name("Type")
            .text(if value.is_some() { "String" } else { "Null" });
        json.name("Value");
        write(json);
        json.close(b'}');
    }

    fn requested(
        &self,
        row: &Row<'_>,
        from_headers: &FromHeaders,
        json: &mut Json,
    ) -> Result<(), IndexError> {
        if self.requested.is_empty() {
            return Ok(());
        }
        let id: i64 = row.get(0).doing(READING)?;
        let read = from_headers.get(&id).map_or(&[][..], Vec::as_slice);
        json.name("RequestedTags").open(b'{');
        for (tag, at) in &self.requested {
            let number;
            let name = match keyword(*tag) {
                Some(name) => name,
                None => {
                    number = format!("{:04x},{:04x}", tag.0, tag.1);
                    &number
                }
            };
            if let Some(found) = read.iter().find(|one| one.tag == *tag) {
                self.tag_name(*tag, name, json);
                json.raw(&found.json);
                continue;
            }
            // What the index keeps and a resource has not is left out, as among its main tags; what was looked for
            // in a header in vain is null.
            match at {
                Some((source, at)) => {
                    if let Some(value) = source.value(row, *at, *tag)? {
                        self.tag(*tag, name, Some(&value), json);
                    }
                }
                None => self.tag(*tag, name, None, json),
            }
        }
        json.close(b'}');
        Ok(())
    }
}

/// The public ids one level below, end to end.
fn children_expression(level: Level) -> Option<&'static str> {
    match level {
        Level::Patient => Some(
            "(SELECT vna_ids(child.id, child.public_id) FROM study AS child
              WHERE child.patient = patient.id AND child.state = 0)",
        ),
        Level::Study => Some(
            "(SELECT vna_ids(child.id, child.public_id) FROM series AS child
              WHERE child.study = study.id AND child.state = 0)",
        ),
        Level::Series => Some(
            "(SELECT vna_ids(child.id, child.public_id) FROM instance AS child
              WHERE child.series = series.id AND child.state = 0)",
        ),
        Level::Instance => None,
    }
}

/// Attachments of users as objects in JSON with commas between; NULL if there are none.
fn attached_expression(own: &str) -> String {
    let uuid = [(1, 8), (9, 4), (13, 4), (17, 4), (21, 12)]
        .map(|(from, length)| format!("substr(lower(hex(key)), {from}, {length})"))
        .join(" || '-' || ");
    format!(
        "(SELECT group_concat(one, ',') FROM (
             SELECT json_object('CompressedMD5', lower(hex(coalesce(stored_md5, md5))), 'CompressedSize', stored_size,
                 'ContentType', type, 'UncompressedMD5', lower(hex(md5)), 'UncompressedSize', size, 'Uuid', {uuid})
                 AS one
             FROM attachment WHERE attachment.resource = {own}.id ORDER BY type))"
    )
}

fn optional(number: Option<i64>, json: &mut Json) {
    match number {
        Some(number) => json.number(number),
        None => json.null(),
    }
}

/// A blob key in the form of a UUID.
struct Uuid([u8; 16]);

impl std::fmt::Display for Uuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
