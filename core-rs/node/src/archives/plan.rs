//! What an archive holds: the instances of its resources as they are when it begins, and their names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use vna_dicom::{Level, PublicId, Tag, tags};
use vna_index::{Index, Member};

use super::names::{Alphabet, Folder, file_name, file_prefix, name_of, numbers};
use super::{MakingProblem, Request};
use crate::error::ArchiveError;

/// Studies or series whose values are read at a time.
const PAGE: usize = 1000;

const STUDY_VALUES: [Tag; 4] = [
    tags::PATIENT_ID,
    tags::PATIENT_NAME,
    tags::ACCESSION_NUMBER,
    tags::STUDY_DESCRIPTION,
];
const SERIES_VALUES: [Tag; 2] = [tags::MODALITY, tags::SERIES_DESCRIPTION];

/// The instances of an archive, series by series.
pub(super) struct Plan {
    pub series: Vec<Series>,
    pub instances: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Instances of one series.
pub(super) struct Series {
    /// Numbers of patient, study and series.
    pub above: [i64; 3],
    /// Numbers of the instances.
    pub instances: Vec<i64>,
    pub names: Names,
}

/// Names of the files of a series.
#[derive(Default)]
pub(super) struct Names {
    /// With a slash behind it.
    folder: String,
    /// What they begin with.
    prefix: String,
    numbers: Vec<u64>,
}

impl Names {
    /// The name of the file of an instance.
    pub fn of(&self, at: usize) -> String {
        let number = self.numbers.get(at).copied().unwrap_or(at as u64);
        format!("{}{}", self.folder, file_name(&self.prefix, number))
    }
}

impl Plan {
    /// What the resources of a request hold now.
    ///
    /// # Errors
    ///
    /// [`MakingProblem::NoSuchResource`]; what the index says.
    pub fn of(index: &dyn Index, tenant: i64, request: &Request) -> Result<Plan, ArchiveError> {
        let mut members = Vec::new();
        for resource in &request.resources {
            let (level, id) = find(index, tenant, request.level, resource)?;
            members.append(&mut index.members(level, id)?);
        }
        if request.resources.len() > 1 {
            let order = |member: &Member| {
                let Member {
                    patient,
                    study,
                    series,
                    index,
                    instance,
                    ..
                } = *member;
                (patient, study, series, index, instance)
            };
            members.sort_unstable_by_key(order);
            members.dedup_by_key(|member| member.instance);
        }
        let bytes = members.iter().map(|member| member.file_size).sum();
        let instances = members.len() as u64;
        let series = if request.media {
            grouped(&members, |_| Names::default()) // on a medium names are numbers
        } else {
            let labels = Labels::read(index, &members, request.alphabet())?;
            let mut folders = Folders::new(&labels);
            grouped(&members, |of_series| folders.names(of_series))
        };
        Ok(Plan {
            series,
            instances,
            bytes,
        })
    }
}

/// The level and number of the resource of a public id: of the level that was asked for, else of any.
fn find(
    index: &dyn Index,
    tenant: i64,
    level: Option<Level>,
    resource: &str,
) -> Result<(Level, i64), ArchiveError> {
    let unknown = || {
        ArchiveError::Making(MakingProblem::NoSuchResource {
            level,
            id: resource.chars().take(64).collect(),
        })
    };
    let id: PublicId = resource.parse().map_err(|_| unknown())?;
    let levels = Level::ALL.into_iter().rev();
    for level in levels.filter(|at| level.is_none_or(|level| level == *at)) {
        if let Some(number) = index.number(tenant, level, &id, level)? {
            return Ok((level, number));
        }
    }
    Err(unknown())
}

/// Members, which come sorted, by series; `names` gives the names of those of one series.
fn grouped(members: &[Member], mut names: impl FnMut(&[Member]) -> Names) -> Vec<Series> {
    members
        .chunk_by(|one, other| one.series == other.series)
        .map(|of_series| {
            let first = &of_series[0];
            Series {
                above: [first.patient, first.study, first.series],
                instances: of_series.iter().map(|member| member.instance).collect(),
                names: names(of_series),
            }
        })
        .collect()
}

/// What folders are called that have not met another of the same name.
struct Labels {
    /// Of each study that of its patient and its own.
    studies: HashMap<i64, [String; 2]>,
    /// Of each series its own, and what its files begin with.
    series: HashMap<i64, [String; 2]>,
}

impl Labels {
    fn read(
        index: &dyn Index,
        members: &[Member],
        alphabet: Alphabet,
    ) -> Result<Labels, ArchiveError> {
        let mut labels = Labels {
            studies: HashMap::new(),
            series: HashMap::new(),
        };
        for ids in distinct(members, |member| member.study).chunks(PAGE) {
            for row in index.values(Level::Study, ids, &STUDY_VALUES, None)?.rows() {
                let [id, name, accession, description] = [0, 1, 2, 3].map(|at| row.get(at));
                labels.studies.insert(
                    row.id,
                    [
                        name_of(alphabet, &[id, name], UNKNOWN_PATIENT),
                        name_of(alphabet, &[accession, description], UNKNOWN_STUDY),
                    ],
                );
            }
        }
        for ids in distinct(members, |member| member.series).chunks(PAGE) {
            for row in index
                .values(Level::Series, ids, &SERIES_VALUES, None)?
                .rows()
            {
                let (modality, description) = (row.get(0), row.get(1));
                let name = name_of(alphabet, &[modality, description], UNKNOWN_SERIES);
                labels.series.insert(row.id, [name, file_prefix(modality)]);
            }
        }
        Ok(labels)
    }
}

const UNKNOWN_PATIENT: &str = "Unknown Patient";
const UNKNOWN_STUDY: &str = "Unknown Study";
const UNKNOWN_SERIES: &str = "Unknown Series";

/// Members come sorted by what `of` gives but for parents that are mixed, which come once more.
fn distinct(members: &[Member], of: impl Fn(&Member) -> i64) -> Vec<i64> {
    let mut ids: Vec<i64> = members.iter().map(of).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The folders that there are already.
struct Folders<'a> {
    labels: &'a Labels,
    root: Folder,
    patients: HashMap<i64, (String, Folder)>,
    studies: HashMap<i64, (String, Folder)>,
}

impl<'a> Folders<'a> {
    fn new(labels: &'a Labels) -> Self {
        Folders {
            labels,
            root: Folder::default(),
            patients: HashMap::new(),
            studies: HashMap::new(),
        }
    }

    /// The names of the files of one series.
    fn names(&mut self, of_series: &[Member]) -> Names {
        let member = &of_series[0];
        let of_study = self.labels.studies.get(&member.study);
        let [patient_name, study_name] = match of_study {
            Some([patient, study]) => [patient.as_str(), study.as_str()],
            None => [UNKNOWN_PATIENT, UNKNOWN_STUDY],
        };
        let root = &mut self.root;
        let patient = match self.patients.entry(member.patient) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert((format!("{}/", root.take(patient_name)), Folder::default()))
            }
        };
        let study = match self.studies.entry(member.study) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let path = format!("{}{}/", patient.0, patient.1.take(study_name));
                new.insert((path, Folder::default()))
            }
        };
        let labels = self.labels.series.get(&member.series);
        let [series_name, prefix] = match labels {
            Some([name, prefix]) => [name.as_str(), prefix.as_str()],
            None => [UNKNOWN_SERIES, ""],
        };
        let indexes: Vec<Option<i64>> = of_series.iter().map(|member| member.index).collect();
        Names {
            folder: format!("{}{}/", study.0, study.1.take(series_name)),
            prefix: prefix.to_owned(),
            numbers: numbers(&indexes),
        }
    }
}
