//! Time zones of queries and answers (PS3.4 §C.5.1.1.1.1 "timezone query adjustment").

use vna_dicom::{CharacterSet, DataElement, DataSet, Tag, Value, Vr, tags as t};
use vna_index::{offset_minutes, shift_date_time, shift_moment};

/// Dates and the times that go with them.
pub(super) const PAIRS: &[(Tag, Tag)] = &[
    (Tag(0x0008, 0x0012), Tag(0x0008, 0x0013)), // Instance Creation
    (Tag(0x0008, 0x0020), Tag(0x0008, 0x0030)), // Study
    (Tag(0x0008, 0x0021), Tag(0x0008, 0x0031)), // Series
    (Tag(0x0008, 0x0022), Tag(0x0008, 0x0032)), // Acquisition
    (Tag(0x0008, 0x0023), Tag(0x0008, 0x0033)), // Content
    (Tag(0x0018, 0x1012), Tag(0x0018, 0x1014)), // Secondary Capture
    (Tag(0x0038, 0x0020), Tag(0x0038, 0x0021)), // Admitting
    (Tag(0x0040, 0x0002), Tag(0x0040, 0x0003)), // Scheduled Procedure Step Start
    (Tag(0x0040, 0x0004), Tag(0x0040, 0x0005)), // Scheduled Procedure Step End
    (Tag(0x0040, 0x0244), Tag(0x0040, 0x0245)), // Performed Procedure Step Start
    (Tag(0x0040, 0x0250), Tag(0x0040, 0x0251)), // Performed Procedure Step End
    (Tag(0x0040, 0x2004), Tag(0x0040, 0x2005)), // Issue Date of Imaging Service Request
];

/// The date or time that goes with the other.
pub(super) fn partner(tag: Tag) -> Option<Tag> {
    PAIRS.iter().find_map(|(date, time)| match tag {
        tag if tag == *date => Some(*time),
        tag if tag == *time => Some(*date),
        _ => None,
    })
}

/// The time zone of a requestor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Zone {
    minutes: i32,
}

impl Zone {
    /// From (0008,0201); `None` if it is none.
    pub fn new(offset_from_utc: &str) -> Option<Zone> {
        let minutes = offset_minutes(offset_from_utc)?;
        Some(Zone { minutes })
    }

    /// As (0008,0201) has it.
    pub fn offset_from_utc(self) -> String {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let minutes = self.minutes.abs();
        format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
    }

    /// Minutes from what is stored to this zone; 0 where nobody knows the zone of what is stored.
    fn later_than(self, stored_offset: Option<&str>) -> i32 {
        let stored = stored_offset.and_then(offset_minutes);
        stored.map_or(0, |stored| self.minutes - stored)
    }

    /// Moves a stored date and time into this zone. One alone says no moment, and stays.
    pub fn adjust_pair(
        self,
        stored_offset: Option<&str>,
        date: &mut Option<String>,
        time: &mut Option<String>,
    ) {
        let minutes = self.later_than(stored_offset);
        if let (Some(day), Some(hour), true) = (&date, &time, minutes != 0) {
            if let Some((day, hour)) = shift_date_time(day, hour, minutes) {
                (*date, *time) = (Some(day), Some(hour));
            }
        }
    }

    /// Moves all moments of a stored header into this zone.
    pub fn adjust(self, data_set: &mut DataSet) {
        let ascii = CharacterSet::default();
        let offset = data_set.get(t::TIMEZONE_OFFSET_FROM_UTC);
        let offset = offset.and_then(|element| element.text(&ascii));
        let minutes = self.later_than(offset.as_deref());
        if minutes != 0 {
            adjust(data_set, minutes, &ascii);
        }
    }
}

/// Recursion goes as deep as the data set was read, `MAX_DEPTH`.
fn adjust(data_set: &mut DataSet, minutes: i32, ascii: &CharacterSet) {
    for (date, time) in PAIRS {
        let text = |tag| {
            data_set
                .get(tag)
                .and_then(|element: &DataElement| element.text(ascii))
        };
        let (Some(day), Some(hour)) = (text(*date), text(*time)) else {
            continue;
        };
        if let Some((day, hour)) = shift_date_time(&day, &hour, minutes) {
            data_set.insert(DataElement::new(*date, Vr::DA, day.into_bytes()));
            data_set.insert(DataElement::new(*time, Vr::TM, hour.into_bytes()));
        }
    }
    for (_, vr, value) in data_set.elements_mut() {
        match value {
            Value::Items(items) => items
                .iter_mut()
                .for_each(|item| adjust(item, minutes, ascii)),
            Value::Bytes(bytes) if *vr == Vr::DT => {
                let moved = std::str::from_utf8(bytes)
                    .ok()
                    .and_then(|text| shift_moment(text, minutes));
                if let Some(moved) = moved {
                    *bytes = moved.into_bytes();
                }
            }
            Value::Bytes(_) | Value::Fragments(_) | Value::BulkDataUri(_) | Value::Stored(_) => {}
        }
    }
}
