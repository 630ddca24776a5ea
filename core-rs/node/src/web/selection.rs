//! What the UIDs of a request name: decided once, when it begins.

use std::collections::HashMap;
use std::sync::Arc;

use vna_index::{Located, Picked, PickedInstance, PickedSeries, UidPath};
use vna_store::Digest;

use crate::archive::Archive;
use crate::archives::MakingProblem;
use crate::error::ArchiveError;
use crate::part10::may_lack;
use crate::recompress::FIRST_INSTEAD;
use crate::stored_file::StoredFile;

/// The instances that UIDs name, and the archive that has them.
#[derive(Clone)]
pub struct Selection {
    archive: Arc<Archive>,
    picked: Arc<Picked>,
}

impl Selection {
    /// What UIDs name now. Waits for the disk.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn find(
        archive: &Arc<Archive>,
        tenant: i64,
        path: &UidPath<'_>,
    ) -> Result<Selection, ArchiveError> {
        let picked = archive.index().pick(tenant, path)?;
        Ok(Selection {
            archive: Arc::clone(archive),
            picked: Arc::new(picked),
        })
    }

    /// Whether what UIDs name was deleted and can still be brought back; of what is not there now. Waits for the disk.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn was_deleted(
        archive: &Archive,
        tenant: i64,
        path: &UidPath<'_>,
        now_us: i64,
    ) -> Result<bool, ArchiveError> {
        Ok(archive.index().was_deleted(tenant, path, now_us)?)
    }

    /// How many instances it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.picked.instances.len()
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.picked.instances.is_empty()
    }

    /// Changes when anything does that is said of it.
    #[must_use]
    pub fn version(&self) -> Digest {
        version(&self.picked.instances)
    }

    /// When the instance that was named became what it is, as [`modified_s`] has it. Of several there is no such time: one
    /// of them may go without another coming.
    #[must_use]
    pub fn modified_s(&self, now_us: i64) -> Option<i64> {
        let file = self.picked.file?;
        modified_s(file.received_us, file.encoding, now_us)
    }

    /// How many instances are stored in each transfer syntax.
    #[must_use]
    pub fn transfer_syntaxes(&self) -> Vec<(&str, usize)> {
        let of = |syntax: i64| {
            let instances = self.picked.instances.iter();
            instances.filter(|one| one.syntax == syntax).count()
        };
        let syntaxes = self.picked.syntaxes.iter();
        syntaxes
            .map(|(syntax, uid)| (uid.as_str(), of(*syntax)))
            .collect()
    }

    /// Whether files of it may lack their beginning, which is written as they leave.
    pub(super) fn may_lack_beginning(&self) -> bool {
        self.picked.instances.iter().any(|one| {
            let uid_bytes = u64::from(one.uid_bytes) + self.transfer_syntax(one).len() as u64;
            may_lack(one.data_set_offset, uid_bytes)
        })
    }

    /// Bytes of the files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.picked.instances.iter().map(|one| one.file_size).sum()
    }

    pub(super) fn archive(&self) -> &Arc<Archive> {
        &self.archive
    }

    pub(super) fn instances(&self) -> &[PickedInstance] {
        &self.picked.instances
    }

    pub(super) fn transfer_syntax(&self, instance: &PickedInstance) -> &str {
        let mut syntaxes = self.picked.syntaxes.iter();
        let found = syntaxes.find(|(syntax, _)| *syntax == instance.syntax);
        found.map_or("", |(_, uid)| uid)
    }

    /// A series by its place.
    pub(super) fn series_at(&self, place: usize) -> &PickedSeries {
        &self.picked.series[place]
    }

    /// The series that an instance is in.
    pub(super) fn series(&self, instance: &PickedInstance) -> Option<&PickedSeries> {
        let mut series = self.picked.series.iter();
        series.find(|series| series.series == instance.series)
    }

    /// How many instances each series has, one behind the other.
    pub(super) fn runs(&self) -> impl Iterator<Item = usize> {
        let instances = &self.picked.instances;
        let runs = instances.chunk_by(|one, other| one.series == other.series);
        runs.map(<[PickedInstance]>::len)
    }

    /// Where some of its instances lie.
    pub(super) fn locate(
        &self,
        instances: &[PickedInstance],
    ) -> Result<HashMap<i64, Located>, ArchiveError> {
        let numbers: Vec<i64> = instances.iter().map(|one| one.instance).collect();
        let located = self.archive.index().locate_members(&numbers)?;
        Ok(located.into_iter().collect())
    }

    /// Opens the file of one of its instances.
    ///
    /// # Errors
    ///
    /// [`MakingProblem::InstanceGone`] if its bytes went meanwhile; what index and store say.
    pub(super) fn open(&self, number: i64, located: &Located) -> Result<StoredFile, ArchiveError> {
        let opened = self.archive.open_member(number, located)?;
        let id = located.instance;
        opened.ok_or(ArchiveError::Making(MakingProblem::InstanceGone { id }))
    }
}

/// The time of Last-Modified of what was received at `received_us` and is kept in `encoding`, in seconds since 1970.
///
/// It is a strong validator (RFC 9110 §8.8.2.2), so there is none before that second is over: another version may come
/// within it, and who has the first must not hold it for the second. Nor is there one of a file that took the place of
/// what was received, since nothing tells when.
#[must_use]
pub fn modified_s(received_us: i64, encoding: i64, now_us: i64) -> Option<i64> {
    const SECOND_US: i64 = 1_000_000;
    let received_s = received_us.div_euclid(SECOND_US);
    let is_received = encoding < i64::from(FIRST_INSTEAD.0);
    (is_received && received_s < now_us.div_euclid(SECOND_US)).then_some(received_s)
}

/// Changes when one of these instances is another, or is kept in another form.
pub(super) fn version(instances: &[PickedInstance]) -> Digest {
    let mut bytes = Vec::with_capacity(instances.len() * 32);
    for one in instances {
        for number in [one.instance, one.blob, one.syntax] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&one.file_size.to_le_bytes());
    }
    Digest::of_parts(&[&bytes])
}

/// Where an instance of a series is, below the root of the service.
pub(super) fn location(root: &str, series: &PickedSeries, sop_instance_uid: &str) -> String {
    format!(
        "{root}/studies/{}/series/{}/instances/{sop_instance_uid}",
        series.study_instance_uid, series.series_instance_uid
    )
}

#[cfg(test)]
mod tests {
    use super::modified_s;

    #[test]
    fn a_time_of_modification_is_told_when_its_second_is_over_and_only_of_what_was_received() {
        for (received_us, encoding, now_us, told) in [
            (5_300_000, 0, 5_999_999, None),
            (5_300_000, 0, 6_000_000, Some(5)),
            (5_300_000, 1, 6_000_000, Some(5)), // recompressed: the same bytes
            (5_300_000, 0, 4_000_000, None),    // the clock was put back
            (5_300_000, 9, 6_000_000, None),    // the original was given up
        ] {
            assert_eq!(modified_s(received_us, encoding, now_us), told);
        }
    }
}
