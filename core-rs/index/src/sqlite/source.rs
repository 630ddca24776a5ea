//! Where the index has a value of a resource: SQL for it, and the value of a row.
//!
//! A statement at a level has the tables of that level and of all above it.

use super::extra;
use super::resource;
use super::tags;
use crate::error::Doing;
use crate::{IndexError, metadata};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use std::borrow::Cow;
use vna_dicom::{Level, Tag, extra_tags, main_tags, tags as t};

const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const SOP_CLASSES_IN_STUDY: Tag = Tag(0x0008, 0x0062);
const INSTANCE_AVAILABILITY: Tag = Tag(0x0008, 0x0056);

/// Where the value of a tag or of metadata is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Among the packed tags of a level; the patient's below patient level are those of the study.
    Packed(Level),
    /// The UID of a level.
    Uid(Level),
    /// (0010,0021).
    Issuer,
    /// (0008,0016).
    SopClass,
    /// (0008,0016) of all instances of a series.
    SeriesClasses,
    /// All modalities of the study.
    Modalities,
    /// All SOP classes of the study.
    SopClasses,
    /// How many of the second level are below the resource of the first.
    Count(Level, Level),
    /// ONLINE: whatever the index has, it can give.
    Online,
    /// Metadata of that number.
    Metadata(i64),
    /// A tag that is indexed beside those of its level; the patient's below patient level are those of the study.
    Extra(Level, Tag),
}

/// Where the index has the value of a tag for a resource of `level`; `None` also for tags of lower levels.
pub(crate) fn source(level: Level, tag: Tag) -> Option<Source> {
    let found = match tag {
        t::STUDY_INSTANCE_UID => Source::Uid(Level::Study),
        t::SERIES_INSTANCE_UID => Source::Uid(Level::Series),
        t::SOP_INSTANCE_UID => Source::Uid(Level::Instance),
        t::SOP_CLASS_UID => Source::SopClass,
        t::ISSUER_OF_PATIENT_ID => Source::Issuer,
        MODALITIES_IN_STUDY => Source::Modalities,
        SOP_CLASSES_IN_STUDY => Source::SopClasses,
        INSTANCE_AVAILABILITY => Source::Online,
        Tag(0x0020, 0x1200) => Source::Count(Level::Patient, Level::Study),
        Tag(0x0020, 0x1202) => Source::Count(Level::Patient, Level::Series),
        Tag(0x0020, 0x1204) => Source::Count(Level::Patient, Level::Instance),
        Tag(0x0020, 0x1206) => Source::Count(Level::Study, Level::Series),
        Tag(0x0020, 0x1208) => Source::Count(Level::Study, Level::Instance),
        Tag(0x0020, 0x1209) => Source::Count(Level::Series, Level::Instance),
        _ => nearest(level, tag)?,
    };
    (found.level() <= level).then_some(found)
}

/// The lowest level down to `level` that keeps a tag.
fn nearest(level: Level, tag: Tag) -> Option<Source> {
    let mut levels = Level::ALL.into_iter().rev().filter(|at| *at <= level);
    levels.find_map(|at| {
        if main_tags(at).contains(&tag) {
            return Some(Source::Packed(at));
        }
        let is_extra = extra_tags(at).contains(&tag);
        let row = at.max(level.min(Level::Study)); // the patient's of a study
        let row = if at == Level::Patient { row } else { at };
        (is_extra && extra::is_complete(row, tag)).then_some(Source::Extra(at, tag))
    })
}

impl Source {
    /// The level of the resource that has the value.
    pub(crate) const fn level(self) -> Level {
        match self {
            Source::Packed(level)
            | Source::Uid(level)
            | Source::Count(level, _)
            | Source::Extra(level, _) => level,
            Source::Issuer | Source::Online | Source::Metadata(_) => Level::Patient,
            Source::Modalities | Source::SopClasses => Level::Study,
            Source::SeriesClasses => Level::Series,
            Source::SopClass => Level::Instance,
        }
    }

    /// The expression in a statement at `level`; for packed tags, of all that are packed there.
    pub(crate) fn expression(self, level: Level) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Source::Packed(at) => packed_column(level, at),
            Source::Uid(Level::Study | Level::Patient) => "study.study_uid",
            Source::Uid(Level::Series) => "series.series_uid",
            Source::Uid(Level::Instance) => "instance.sop_uid",
            Source::Issuer => "nullif(patient.issuer, '')",
            Source::SopClass => "(SELECT text FROM word WHERE word.id = instance.sop_class)",
            Source::SeriesClasses => {
                "(SELECT vna_texts(word.text) FROM series_class JOIN word ON word.id = series_class.sop_class
                  WHERE series_class.series = series.id)"
            }
            Source::Modalities => {
                "(SELECT vna_texts(other.modality) FROM series AS other
                  WHERE other.study = study.id AND other.state = 0)"
            }
            Source::SopClasses => {
                "(SELECT vna_texts(word.text) FROM series AS other
                         JOIN series_class ON series_class.series = other.id
                         JOIN word ON word.id = series_class.sop_class
                  WHERE other.study = study.id AND other.state = 0)"
            }
            Source::Count(of, what) => {
                return Cow::Owned(format!("{}.{}", table(of), counter(what)));
            }
            Source::Online => "'ONLINE'",
            Source::Metadata(number) => return Cow::Owned(metadata_expression(level, number)),
            Source::Extra(at, tag) => return Cow::Owned(extra_expression(level, at, tag)),
        })
    }

    /// The same in a view by a label of studies, in which a patient has no others.
    pub(crate) fn expression_in(
        self,
        level: Level,
        study_label: Option<&str>,
    ) -> Cow<'static, str> {
        let (Source::Count(Level::Patient, what), Some(label)) = (self, study_label) else {
            return self.expression(level);
        };
        let number = match what {
            Level::Study => "count(*)".to_owned(),
            lower => format!("coalesce(sum(seen.{}), 0)", counter(lower)),
        };
        Cow::Owned(format!(
            "(SELECT {number} FROM study AS seen WHERE seen.patient = patient.id AND seen.state = 0{})",
            in_view("seen", Some(label))
        ))
    }

    /// The expression of one value, to order by.
    pub(crate) fn scalar(self, level: Level, tag: Tag) -> Cow<'static, str> {
        let expression = self.expression(level);
        match self {
            Source::Packed(_) => Cow::Owned(format!("vna_tag({expression}, {})", tag.to_u32())),
            _ => expression,
        }
    }

    /// The value in column `at` of a row; `None` if the resource has none.
    pub(crate) fn value<'r>(
        self,
        row: &'r Row<'_>,
        at: usize,
        tag: Tag,
    ) -> Result<Option<Cow<'r, str>>, IndexError> {
        if let Source::Packed(_) = self {
            return Ok(tags::find(resource::packed(row, at)?, tag).map(Cow::Borrowed));
        }
        Ok(match row.get_ref(at).doing("reading a value")? {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(Cow::Owned(number.to_string())),
            _ => Some(Cow::Borrowed(resource::text(row, at)?)),
        })
    }
}

/// The condition that a study is in the view by a label; empty without one.
pub(crate) fn in_view(study: &str, label: Option<&str>) -> String {
    label.map_or_else(String::new, |label| {
        let label = label.replace('\'', "''");
        format!(
            " AND EXISTS (SELECT 1 FROM label WHERE label.resource = {study}.id AND label.label = '{label}')"
        )
    })
}

/// The packed tags of level `of` in a statement at `level`: those of the patient come with the study below it.
pub(crate) fn packed_column(level: Level, of: Level) -> &'static str {
    match of {
        Level::Patient if level == Level::Patient => "patient.tags",
        Level::Patient | Level::Study => "study.tags",
        Level::Series => "series.tags",
        Level::Instance => "instance.tags",
    }
}

/// The value of an extra tag of level `of` in a statement at `level`.
pub(crate) fn extra_expression(level: Level, of: Level, tag: Tag) -> String {
    let row = match of {
        Level::Patient if level > Level::Patient => Level::Study,
        _ => of,
    };
    format!(
        "(SELECT value FROM extra_value WHERE resource = {}.id AND tag = {})",
        table(row),
        tag.to_u32()
    )
}

pub(crate) const fn table(level: Level) -> &'static str {
    match level {
        Level::Patient => "patient",
        Level::Study => "study",
        Level::Series => "series",
        Level::Instance => "instance",
    }
}

const fn counter(level: Level) -> &'static str {
    match level {
        Level::Patient => "patients",
        Level::Study => "studies",
        Level::Series => "series",
        Level::Instance => "instances",
    }
}

/// What is stored as metadata, or else follows from the row.
fn metadata_expression(level: Level, number: i64) -> String {
    let stored = format!(
        "(SELECT value FROM metadata WHERE resource = {}.id AND type = {number})",
        table(level)
    );
    match derived(level, number) {
        Some(derived) => format!("coalesce({stored}, {derived})"),
        None => stored,
    }
}

/// Metadata of which the index has the value in a column of its own.
pub(crate) fn derived(level: Level, number: i64) -> Option<Cow<'static, str>> {
    use metadata as m;
    let origin = |column: &str| {
        Some(Cow::Owned(format!(
            "(SELECT {column} FROM origin WHERE origin.id = instance.origin)"
        )))
    };
    let fixed = |text| Some(Cow::Borrowed(text));
    match (level, number) {
        (_, m::MAIN_DICOM_TAGS_SIGNATURE) => {
            Some(Cow::Owned(format!("'{}'", metadata::signature(level))))
        }
        (Level::Patient | Level::Study | Level::Series, m::LAST_UPDATE) => Some(Cow::Owned(
            format!("vna_moment({}.last_update_us)", table(level)),
        )),
        (Level::Series, m::REMOTE_AET) => fixed(
            "(SELECT calling_ae FROM instance AS other JOIN origin ON origin.id = other.origin
              WHERE other.series = series.id ORDER BY other.id LIMIT 1)",
        ),
        (Level::Series, m::EXPECTED_NUMBER_OF_INSTANCES) => fixed("series.expected"),
        (Level::Instance, m::INDEX_IN_SERIES) => fixed("instance.index_in_series"),
        (Level::Instance, m::RECEPTION_DATE) => fixed("vna_moment(instance.received_us)"),
        (Level::Instance, m::REMOTE_AET) => origin("calling_ae"),
        // The words that clients know, for the ways in that they know.
        (Level::Instance, m::ORIGIN) => origin(
            "CASE way_in WHEN 'rest' THEN 'RestApi' WHEN 'dicomweb' THEN 'Plugins' WHEN 'webdav' THEN 'WebDav'
                  ELSE way_in END",
        ),
        (Level::Instance, m::TRANSFER_SYNTAX) => {
            fixed("(SELECT text FROM word WHERE word.id = instance.syntax)")
        }
        (Level::Instance, m::SOP_CLASS_UID) => {
            fixed("(SELECT text FROM word WHERE word.id = instance.sop_class)")
        }
        (Level::Instance, m::REMOTE_IP) => origin("address"),
        (Level::Instance, m::CALLED_AET) => {
            origin("CASE way_in WHEN 'DicomProtocol' THEN called_ae END")
        }
        (Level::Instance, m::HTTP_USERNAME) => {
            origin("CASE way_in WHEN 'DicomProtocol' THEN NULL ELSE user END")
        }
        (Level::Instance, m::PIXEL_DATA_OFFSET) => fixed("instance.pixel_offset"),
        _ => None,
    }
}
