//! The options of the profile (PS3.15 E.3).

use super::EditError;

/// An option that can be chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// PS3.15 E.3.3: graphics stay, without texts; overlays and curves, whose pixels may say anything, go.
    CleanGraphics,
    /// PS3.15 E.3.4: codes, numbers and references of structured content stay; texts, names and dates are made up.
    CleanStructuredContent,
    /// PS3.15 E.3.6: dates and times stay as they are.
    RetainFullDates,
    /// PS3.15 E.3.6: dates are shifted, by as many days for all of one patient.
    RetainModifiedDates,
    /// PS3.15 E.3.7: age, sex, size, weight and their like stay; texts about them go.
    RetainPatientCharacteristics,
    /// PS3.15 E.3.8: what names the device stays; AE titles are made up.
    RetainDeviceIdentity,
    /// PS3.15 E.3.9: UIDs stay.
    RetainUids,
    /// PS3.15 E.3.10: private elements that are known to be safe stay.
    RetainSafePrivate,
    /// PS3.15 E.3.11: what names the institution stays.
    RetainInstitutionIdentity,
}

/// What becomes of dates and times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dates {
    /// They go.
    Removed,
    /// They stay.
    Unmodified,
    /// They are shifted.
    Modified,
}

/// Options that are chosen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    chosen: u16,
}

impl Choice {
    /// All, in the order of their codes in CID 7050.
    pub const ALL: [Choice; 9] = [
        Choice::CleanGraphics,
        Choice::CleanStructuredContent,
        Choice::RetainFullDates,
        Choice::RetainModifiedDates,
        Choice::RetainPatientCharacteristics,
        Choice::RetainDeviceIdentity,
        Choice::RetainUids,
        Choice::RetainSafePrivate,
        Choice::RetainInstitutionIdentity,
    ];

    /// Its name in a recipe.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Choice::CleanGraphics => "CleanGraphics",
            Choice::CleanStructuredContent => "CleanStructuredContent",
            Choice::RetainFullDates => "RetainLongitudinalFullDates",
            Choice::RetainModifiedDates => "RetainLongitudinalModifiedDates",
            Choice::RetainPatientCharacteristics => "RetainPatientCharacteristics",
            Choice::RetainDeviceIdentity => "RetainDeviceIdentity",
            Choice::RetainUids => "RetainUIDs",
            Choice::RetainSafePrivate => "RetainSafePrivate",
            Choice::RetainInstitutionIdentity => "RetainInstitutionIdentity",
        }
    }

    /// Its code in CID 7050 of PS3.16, and the meaning of that.
    #[must_use]
    pub const fn code(self) -> (&'static str, &'static str) {
        match self {
            Choice::CleanGraphics => ("113103", "Clean Graphics Option"),
            Choice::CleanStructuredContent => ("113104", "Clean Structured Content Option"),
            Choice::RetainFullDates => (
                "113106",
                "Retain Longitudinal Temporal Information Full Dates Option",
            ),
            Choice::RetainModifiedDates => (
                "113107",
                "Retain Longitudinal Temporal Information Modified Dates Option",
            ),
            Choice::RetainPatientCharacteristics => {
                ("113108", "Retain Patient Characteristics Option")
            }
            Choice::RetainDeviceIdentity => ("113109", "Retain Device Identity Option"),
            Choice::RetainUids => ("113110", "Retain UIDs Option"),
            Choice::RetainSafePrivate => ("113111", "Retain Safe Private Option"),
            Choice::RetainInstitutionIdentity => ("113112", "Retain Institution Identity Option"),
        }
    }
}

/// Options of the standard that we refuse, and what they would take.
const REFUSED: [(&str, &str); 3] = [
    (
        "CleanDescriptors",
        "which words of a description name somebody takes a person's judgement",
    ),
    (
        "CleanPixelData",
        "pixels are left as they are: (0028,0301) says what is known of them",
    ),
    (
        "CleanRecognizableVisualFeatures",
        "pixels are left as they are",
    ),
];

impl Options {
    /// Options by their names.
    ///
    /// # Errors
    ///
    /// As [`Profile::new`](super::Profile::new).
    pub fn read(names: &[String]) -> Result<Options, EditError> {
        let mut options = Options::default();
        for name in names {
            let found = Choice::ALL.into_iter().find(|choice| choice.name() == name);
            let choice = found.ok_or_else(|| EditError::Profile {
                problem: unknown(name),
            })?;
            options.chosen |= 1 << choice as u16;
        }
        if options.has(Choice::RetainFullDates) && options.has(Choice::RetainModifiedDates) {
            return Err(EditError::Profile {
                problem: format!(
                    "dates stay as they are or are shifted: either {} or {}",
                    Choice::RetainFullDates.name(),
                    Choice::RetainModifiedDates.name()
                ),
            });
        }
        Ok(options)
    }

    /// Whether an option is chosen.
    pub const fn has(self, choice: Choice) -> bool {
        self.chosen & 1 << choice as u16 != 0
    }

    /// What becomes of dates.
    pub const fn dates(self) -> Dates {
        if self.has(Choice::RetainFullDates) {
            Dates::Unmodified
        } else if self.has(Choice::RetainModifiedDates) {
            Dates::Modified
        } else {
            Dates::Removed
        }
    }
}

fn unknown(name: &str) -> String {
    if let Some((name, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return format!("the option {name} is not offered: {why}");
    }
    format!(
        "{:?} is no option of the profile; there are {}",
        name.chars().take(64).collect::<String>(),
        Choice::ALL.map(Choice::name).join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str]) -> Result<Options, EditError> {
        Options::read(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_known_by_name() {
        for choice in Choice::ALL {
            let options = read(&[choice.name()]).expect("is one");
            for other in Choice::ALL {
                assert_eq!(options.has(other), other == choice);
            }
        }
        assert_eq!(read(&[]).expect("none").dates(), Dates::Removed);
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_a_reason() {
        for (names, expected) in [
            (&["CleanDescriptors"][..], "takes a person's judgement"),
            (&["CleanPixelData"], "pixels are left"),
            (&["KeepAll"], "there are CleanGraphics"),
            (
                &[
                    "RetainLongitudinalFullDates",
                    "RetainLongitudinalModifiedDates",
                ],
                "either",
            ),
        ] {
            let error = read(names).expect_err("is refused");
            assert_eq!(error.code(), "edit.profile");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
