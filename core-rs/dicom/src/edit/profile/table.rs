//! The tables that profiles are compiled from: Table E.1-1 of PS3.15, what is done beyond it, and what IODs require.

use crate::Tag;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A cell of Table E.1-1: an action, or actions among which the type of the attribute in its IOD decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cell {
    /// No action.
    Blank,
    X,
    Z,
    D,
    K,
    C,
    U,
    XorZ,
    XorD,
    ZorD,
    XorZorD,
    /// X/Z/U*.
    XorZorU,
}

/// A row: an attribute, the edition that it is in since, and its cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The first edition that has it, by its place in [`EDITIONS`].
    pub edition: usize,
    /// The action of the Basic Application Level Confidentiality Profile.
    pub basic: Cell,
    /// Those of the options, by [`Column`].
    options: [Cell; 10],
}

/// An option's column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Column {
    Uids = 1,
    Device = 2,
    Institution = 3,
    Patient = 4,
    FullDates = 5,
    ModifiedDates = 6,
    StructuredContent = 8,
    Graphics = 9,
}

/// Editions of PS3.15 that a profile can be of, oldest first. 2008 and those until 2023b are those that clients of Orthanc
/// name.
pub(super) const EDITIONS: [&str; 6] = ["2008", "2017c", "2021b", "2023b", "2024b", "2026c"];

/// Of what type an attribute is in an IOD.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Type 1: a value has to be there.
    Valued,
    /// Type 1C, or of type 1 in a module that need not be there.
    ValuedIf,
    /// Type 2: the attribute has to be there.
    There,
    /// Type 2C, likewise.
    ThereIf,
    /// Type 3: it may be missing.
    Optional,
}

pub(super) struct Tables {
    rows: HashMap<Tag, Row>,
    curves: Row,
    overlays: [(u16, Row); 2],
    kinds: HashMap<(Tag, &'static str), Kind>,
    classes: Vec<&'static str>,
}

/// UIDs of most storage SOP classes begin so.
const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";

impl Row {
    /// The cell of an option.
    pub fn option(&self, column: Column) -> Cell {
        self.options[column as usize]
    }
}

impl Tables {
    /// The tables, read once.
    pub fn get() -> &'static Tables {
        static TABLES: OnceLock<Tables> = OnceLock::new();
        TABLES.get_or_init(Tables::read)
    }

    fn read() -> Tables {
        let standard = include_str!("e1_1.tsv");
        let beyond = include_str!("beyond.tsv");
        let mut rows = HashMap::new();
        let (mut curves, mut comments, mut data) = (None, None, None);
        let fields = |line: &'static str| line.split('\t').collect::<Vec<_>>();
        let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with('#'));
        for fields in lines(standard).map(fields) {
            let edition = EDITIONS.iter().position(|edition| *edition == fields[1]);
            let row = row(edition.expect("an edition of the table"), &fields[2..]);
            match fields[0] {
                "50xxxxxx" => curves = Some(row),
                "60xx3000" => data = Some(row),
                "60xx4000" => comments = Some(row),
                tag => {
                    rows.insert(Tag::parse(tag).expect("a tag of the table"), row);
                }
            }
        }
        for fields in lines(beyond).map(fields) {
            let tag = Tag::parse(fields[0]).expect("a tag beyond the table");
            let before = rows.insert(tag, row(0, &fields[1..]));
            assert!(before.is_none(), "{tag} has a row in the table");
        }
        let (mut kinds, mut classes) = (HashMap::new(), Vec::new());
        for fields in lines(include_str!("types.tsv")).map(fields) {
            let uids = &fields[2..];
            let kind = match fields[1] {
                "1" => Kind::Valued,
                "1C" => Kind::ValuedIf,
                "2" => Kind::There,
                "2C" => Kind::ThereIf,
                _ => {
                    classes.extend_from_slice(uids);
                    continue;
                }
            };
            let tag = Tag::parse(fields[0]).expect("a tag of an IOD");
            kinds.extend(uids.iter().map(|uid| ((tag, *uid), kind)));
        }
        let known = "a row of a repeating group";
        Tables {
            rows,
            curves: curves.expect(known),
            overlays: [
                (0x3000, data.expect(known)),
                (0x4000, comments.expect(known)),
            ],
            kinds,
            classes,
        }
    }

    /// The row of an attribute.
    pub fn row(&self, tag: Tag) -> Option<&Row> {
        match tag.0 & 0xFF00 {
            0x5000 => return Some(&self.curves),
            0x6000 => {
                let found = self.overlays.iter().find(|(element, _)| *element == tag.1);
                return found.map(|(_, row)| row);
            }
            _ => {}
        }
        self.rows.get(&tag)
    }

    /// What the IOD of a SOP class requires of an attribute of the outermost data set; `None` if the class is not known.
    pub fn kind(&self, tag: Tag, sop_class_uid: &str) -> Option<Kind> {
        let uid = sop_class_uid.strip_prefix(STORAGE).unwrap_or(sop_class_uid);
        let class = self.classes.iter().find(|class| **class == uid)?;
        let kind = self.kinds.get(&(tag, *class)).copied();
        Some(kind.unwrap_or(Kind::Optional))
    }
}

/// A row from its cells: the profile's, then those of the options.
fn row(edition: usize, cells: &[&str]) -> Row {
    let mut options = [Cell::Blank; 10];
    for (cell, text) in options.iter_mut().zip(&cells[1..]) {
        *cell = self::cell(text);
    }
    Row {
        edition,
        basic: cell(cells[0]),
        options,
    }
}

fn cell(text: &str) -> Cell {
    match text {
        "-" => Cell::Blank,
        "X" => Cell::X,
        "Z" => Cell::Z,
        "D" => Cell::D,
        "K" => Cell::K,
        "C" => Cell::C,
        "U" => Cell::U,
        "X/Z" => Cell::XorZ,
        "X/D" => Cell::XorD,
        "Z/D" => Cell::ZorD,
        "X/Z/D" => Cell::XorZorD,
        "X/Z/U*" => Cell::XorZorU,
        other => unreachable!("{other:?} is no cell of the table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_tables_can_be_read() {
        let tables = Tables::get();
        assert!(tables.rows.len() > 680, "{}", tables.rows.len());
        let of = |edition| {
            tables
                .rows
                .values()
                .filter(move |row| row.edition <= edition)
        };
        let sizes: Vec<_> = (0..EDITIONS.len())
            .map(|edition| of(edition).count())
            .collect();
        assert!(sizes.is_sorted(), "each edition adds to the one before");
        assert!(
            tables.rows.values().all(|row| row.basic != Cell::Blank),
            "no row is without an action"
        );
    }

    #[test]
    fn curves_and_overlays_are_found_in_each_of_their_groups() {
        let tables = Tables::get();
        for tag in [
            Tag(0x5002, 0x0005),
            Tag(0x50FE, 0x3000),
            Tag(0x6004, 0x3000),
            Tag(0x6000, 0x4000),
        ] {
            assert_eq!(tables.row(tag).map(|row| row.basic), Some(Cell::X), "{tag}");
        }
        assert!(tables.row(Tag(0x6000, 0x0010)).is_none());
    }

    #[test]
    fn what_an_iod_requires_depends_on_the_class() {
        let series_date = Tag(0x0008, 0x0021);
        let kind = |uid| Tables::get().kind(series_date, uid);
        assert_eq!(kind("1.2.840.10008.5.1.4.1.1.2"), Some(Kind::Optional)); // CT
        assert_eq!(kind("1.2.840.10008.5.1.4.1.1.128"), Some(Kind::Valued)); // PET
        assert_eq!(kind("1.2.3"), None);
    }
}
