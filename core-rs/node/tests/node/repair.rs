//! Archives that were damaged in every way: a repair loses nothing that is still there, and tells what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{self, Who};
use vna_dicom::Level;
use vna_index::Page;
use vna_io::{Cut, CutDisk, Disk, MemoryDisk, Open, Survival, SyncSite};
use vna_node::{
    Archive, ArchiveError, DEFAULT_TENANT, Duplicates, LimitSettings, RepairOptions, RepairReport,
    Settings, StorageSettings, UploadSettings, check, now_us, reindex, repair,
};

const ROOT: &str = "/archive";
const DRY: RepairOptions = RepairOptions {
    dry_run: true,
    accept_loss: false,
};
const SAFE: RepairOptions = RepairOptions {
    dry_run: false,
    accept_loss: false,
};
const ACCEPT: RepairOptions = RepairOptions {
    dry_run: false,
    accept_loss: true,
};

/// What happens to an archive.
type Damage<'a> = &'a dyn Fn(&Ground);

/// An archive, and what was stored in it.
struct Ground {
    disk: Arc<dyn Disk>,
    files: BTreeMap<Who, Vec<u8>>,
}

fn settings() -> Settings {
    Settings {
        storage: StorageSettings {
            root: PathBuf::from(ROOT),
            segment_bytes: 12_000,
            large_object_bytes: 6_000,
            duplicates: Duplicates::IfChanged,
            patient_issuers: false,
            keep: vna_node::KeepSettings::default(),
            duplicate_retention_days: 0,
            undelete_hours: 0,
            ingest_transcoding: String::new(),
            ingest_transcoding_of_uncompressed: true,
            ingest_transcoding_of_compressed: true,
            recompress: None,
            recompress_after_days: 0,
        },
        uploads: UploadSettings::default(),
        limits: LimitSettings {
            spool_bytes: 1 << 20,
            index_cache_bytes: 1 << 20,
            unpacked_cache_bytes: 1 << 20,
        },
        dictionary: Default::default(),
        notes: Default::default(),
        tls: Default::default(),
        codecs: Default::default(),
        pictures: Default::default(),
        archives: Default::default(),
        index: Default::default(),
        http: Default::default(),
        dicomweb: Default::default(),
    }
}

impl Ground {
    /// Four packs and an open segment; the bytes of two instances are files of their own; some are dead.
    fn new() -> Self {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let mut ground = Self {
            disk,
            files: BTreeMap::new(),
        };
        let archive = ground.open();
        for number in 1..=14 {
            let who = Who(number % 3, 1, 1, number);
            let bytes = if number % 7 == 0 { 9_000 } else { 2_500 };
            let file = common::file(who, 1, bytes);
            common::store(&archive, file.clone()).expect("stores");
            ground.files.insert(who, file);
        }
        for number in [2, 9] {
            let who = Who(number % 3, 1, 1, number);
            let id = who.public_id(Level::Instance);
            common::delete(&archive, Level::Instance, id).expect("deletes");
            ground.files.remove(&who);
        }
        archive.tidy(now_us()).expect("tidies");
        archive.stop().expect("stops");
        drop(archive);
        ground
    }

    /// The same bytes on another disk.
    fn copy(&self) -> Self {
        self.copy_to(Arc::new(MemoryDisk::new()))
    }

    fn copy_to(&self, disk: Arc<dyn Disk>) -> Self {
        for (path, bytes) in self.all_files() {
            disk.create_dir_all(path.parent().unwrap()).unwrap();
            let file = disk.open(&path, Open::Create).unwrap();
            file.write_all_at(&[IoSlice::new(&bytes)], 0).unwrap();
            file.sync_data(SyncSite("test")).unwrap();
            disk.sync_dir(path.parent().unwrap(), SyncSite("test"))
                .unwrap();
        }
        Self {
            disk,
            files: self.files.clone(),
        }
    }

    fn all_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::from(ROOT)];
        while let Some(folder) = folders.pop() {
            for name in self.disk.list(&folder).unwrap() {
                let path = folder.join(name);
                match self.disk.open(&path, Open::Read) {
                    Ok(file) => {
                        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
                        file.read_at(&mut bytes, 0).unwrap();
                        found.push((path, bytes));
                    }
                    Err(_) => folders.push(path),
                }
            }
        }
        found.sort();
        found
    }

    /// Segments and files of large objects; the index and the rest are left out.
    fn log_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = self.all_files();
        files.retain(|(path, _)| {
            let path = path.to_string_lossy();
            path.contains("/log/segments/") || path.contains("/log/blobs/")
        });
        files
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = self.log_files().into_iter().map(|(path, _)| path);
        files
            .filter(|path| path.extension().unwrap() == "seg")
            .collect()
    }

    fn quarantined(&self) -> Vec<String> {
        let folder = Path::new(ROOT).join("log/quarantine");
        self.disk.list(&folder).unwrap_or_default()
    }

    fn as_disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    fn open(&self) -> Archive {
        Archive::open(self.as_disk(), settings()).expect("opens")
    }

    fn rot(&self, path: &Path, offset: u64) {
        let file = self.disk.open(path, Open::Write).unwrap();
        let mut byte = [0];
        assert_eq!(file.read_at(&mut byte, offset).unwrap(), 1);
        byte[0] ^= 0x10;
        file.write_all_at(&[IoSlice::new(&byte)], offset).unwrap();
    }

    fn problems(&self) -> Vec<String> {
        check(&self.as_disk(), &settings(), &mut |_, _| {})
            .expect("checks")
            .problems
    }

    fn try_to_repair(&self, options: RepairOptions) -> Result<RepairReport, ArchiveError> {
        repair(
            &self.as_disk(),
            &settings(),
            options,
            now_us(),
            &mut |_, _| {},
        )
    }

    fn repair(&self, options: RepairOptions) -> RepairReport {
        self.try_to_repair(options).expect("repairs")
    }

    /// Every instance is there bit for bit, but for the lost ones, of which the report tells.
    fn assert_holds_all_but(&self, lost: &BTreeSet<String>, what: &str) {
        let archive = self.open();
        for (who, file) in &self.files {
            let id = who.public_id(Level::Instance);
            if !lost.contains(&id.to_string()) {
                let found = common::fetch(&archive, &id);
                let found = found.unwrap_or_else(|error| panic!("{what}: {who:?}: {error}"));
                assert!(
                    found.as_ref() == Some(file),
                    "{what}: {who:?} is {:?}",
                    found.map(|f| f.len())
                );
            }
        }
        archive.stop().expect("stops");
    }

    fn listed(&self) -> BTreeSet<String> {
        let archive = self.open();
        let index = archive.index();
        let json = index.list_json(DEFAULT_TENANT, Level::Instance, Page::default(), None);
        serde_json::from_slice(&json.expect("lists")).expect("JSON")
    }

    /// What a repair must do whatever happened: nothing when it only looks, nothing lost when it may not lose, and a sound
    /// archive when it may.
    fn assert_is_mended(&self, what: &str) -> RepairReport {
        let before = self.log_files();
        let dry = self.repair(DRY);
        assert_eq!(
            before,
            self.log_files(),
            "{what}: a dry run changes nothing"
        );
        assert!(!dry.problems.is_empty(), "{what}: nothing was found");

        let safe = self.repair(SAFE);
        let lost: BTreeSet<String> = safe.lost.iter().map(|lost| lost.id.clone()).collect();
        let told: BTreeSet<String> = dry.lost.iter().map(|lost| lost.id.clone()).collect();
        assert_eq!(lost, told, "{what}");
        assert!(safe.lost.iter().all(|lost| !lost.given_up), "{what}");
        for one in &safe.lost {
            assert!(one.sop_instance_uid.starts_with("1.2."), "{what}");
        }
        if lost.is_empty() {
            assert_eq!(self.problems(), [""; 0], "{what}: {safe:#?}");
        } else {
            assert!(!safe.left.is_empty(), "{what}");
        }
        let accepted = self.repair(ACCEPT);
        for one in accepted.lost.iter().filter(|lost| lost.state == "live") {
            assert!(one.given_up, "{what}: {one:?}");
        }
        assert_eq!(self.problems(), [""; 0], "{what}: {accepted:#?}");
        self.assert_holds_all_but(&lost, what);
        let live: BTreeSet<String> = self
            .files
            .keys()
            .map(|who| who.public_id(Level::Instance).to_string())
            .filter(|id| !lost.contains(id))
            .collect();
        assert_eq!(self.listed(), live, "{what}");
        // What was mended is so in the log: an index that is built of it alone is the same.
        reindex(&self.as_disk(), &settings(), &mut |_, _| {}).expect("reindexes");
        assert_eq!(self.listed(), live, "{what}, after reindex");
        self.assert_holds_all_but(&lost, what);
        assert_eq!(self.problems(), [""; 0], "{what}");
        let archive = self.open();
        archive.compact(100, now_us()).expect("compacts");
        let new = common::file(Who(9, 9, 9, 9), 1, 100);
        common::store(&archive, new).expect("stores");
        archive.stop().expect("stops");
        drop(archive);
        self.assert_holds_all_but(&lost, what);
        safe
    }
}

#[test]
fn a_sound_archive_is_left_as_it_is() {
    let ground = Ground::new();
    let before = ground.log_files();
    let report = ground.repair(ACCEPT);
    assert_eq!((report.problems, report.done), (vec![], vec![]));
    assert_eq!(before, ground.log_files());
    assert_eq!(ground.quarantined(), [""; 0]);
}

#[test]
fn a_changed_byte_anywhere_costs_one_instance_at_most() {
    let ground = Ground::new();
    let (mut damaged, mut lost, mut restored) = (0, 0, 0);
    for (path, bytes) in ground.log_files() {
        let mut offset = 0;
        while offset < bytes.len() as u64 {
            let what = format!("{}, byte {offset}", path.display());
            let other = ground.copy();
            other.rot(&path, offset);
            if !other.problems().is_empty() {
                let report = other.assert_is_mended(&what);
                assert!(report.lost.len() <= 1, "{what}: {report:#?}");
                damaged += 1;
                lost += report.lost.len();
                restored += usize::from(report.done.iter().any(|d| d.contains("stored again")));
                if !report.lost.is_empty() {
                    assert!(report.lost[0].set_aside.is_some(), "{what}: {report:#?}");
                    assert!(!other.quarantined().is_empty(), "{what}");
                }
            }
            other.assert_holds_all_but(
                &BTreeSet::from_iter(
                    ground
                        .files
                        .keys()
                        .map(|w| w.public_id(Level::Instance).to_string())
                        .filter(|_| !other.quarantined().is_empty()),
                ),
                &what,
            );
            // Header and end of a record, and some of its body.
            offset += 463;
        }
    }
    assert!(
        damaged > 40 && lost > 20 && lost < damaged,
        "{damaged} {lost}"
    );
    assert!(restored > 0);
}

#[test]
fn a_record_header_that_is_damaged_is_written_again_around_its_bytes() {
    let ground = Ground::new();
    for path in ground.segments() {
        let other = ground.copy();
        other.rot(&path, 1024 + 20);
        if other.problems().is_empty() {
            continue; // nobody needs it any more
        }
        let report = other.assert_is_mended(&path.display().to_string());
        assert!(report.lost.is_empty(), "{report:#?}");
    }
}

#[test]
fn a_pack_without_a_readable_header_costs_nothing_while_there_is_an_index() {
    let ground = Ground::new();
    for path in ground.segments() {
        let other = ground.copy();
        let file = other.disk.open(&path, Open::Write).unwrap();
        file.write_all_at(&[IoSlice::new(&[0x77; 1024])], 0)
            .unwrap();
        if other.as_disk().exists(&path).unwrap() {
            let report = other.repair(ACCEPT);
            assert!(report.lost.is_empty(), "{}: {report:#?}", path.display());
            other.assert_holds_all_but(&BTreeSet::new(), "without a header");
            assert_eq!(other.problems(), [""; 0]);
        }
    }
}

#[test]
fn a_pack_that_was_cut_short_keeps_what_is_before_the_cut() {
    let ground = Ground::new();
    let segments = ground.segments();
    for path in &segments {
        for keep in [0.1, 0.5, 0.9] {
            let other = ground.copy();
            let file = other.disk.open(path, Open::Write).unwrap();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss
            )]
            file.set_len((file.len().unwrap() as f64 * keep) as u64)
                .unwrap();
            let what = format!("{} cut to {keep}", path.display());
            if !other.problems().is_empty() {
                other.assert_is_mended(&what);
            }
        }
    }
}

#[test]
fn a_pack_or_a_large_object_that_is_gone_costs_what_was_in_it_and_no_more() {
    let ground = Ground::new();
    let mut lost = Vec::new();
    for (path, _) in ground.log_files() {
        let other = ground.copy();
        other.disk.remove(&path).unwrap();
        if other.problems().is_empty() {
            continue;
        }
        let report = other.assert_is_mended(&format!("without {}", path.display()));
        lost.extend(report.lost.into_iter().map(|lost| lost.id));
    }
    lost.sort();
    let mut all: Vec<String> = ground
        .files
        .keys()
        .map(|who| who.public_id(Level::Instance).to_string())
        .collect();
    all.sort();
    assert_eq!(lost, all, "each instance is in one of them");
}

#[test]
fn an_index_that_is_no_more_or_not_one_is_built_anew_and_kept_aside() {
    let ground = Ground::new();
    let index = Path::new(ROOT).join("index/index.db");
    let damages: [(&str, Damage<'_>); 4] = [
        ("overwritten", &|ground| {
            let file = ground.disk.open(&index, Open::Write).unwrap();
            let noise = [0x5A; 20_000];
            file.write_all_at(&[IoSlice::new(&noise)], 0).unwrap();
        }),
        ("a page overwritten", &|ground| {
            let file = ground.disk.open(&index, Open::Write).unwrap();
            let noise = [0x5A; 4096];
            file.write_all_at(&[IoSlice::new(&noise)], 3 * 4096)
                .unwrap();
        }),
        ("cut short", &|ground| {
            let file = ground.disk.open(&index, Open::Write).unwrap();
            file.set_len(10_000).unwrap();
        }),
        ("with a journal of another", &|ground| {
            let journal = Path::new(ROOT).join("index/index.db-wal");
            let file = ground.disk.open(&journal, Open::Create).unwrap();
            file.write_all_at(&[IoSlice::new(&[0x37; 9000])], 0)
                .unwrap();
            let file = ground.disk.open(&index, Open::Write).unwrap();
            file.write_all_at(&[IoSlice::new(&[0xFF; 3000])], 4096)
                .unwrap();
        }),
    ];
    for (what, damage) in damages {
        let other = ground.copy();
        damage(&other);
        let report = other.assert_is_mended(what);
        assert!(report.lost.is_empty(), "{what}: {report:#?}");
        let kept = other.quarantined();
        assert!(
            kept.iter().any(|name| name.starts_with("index-")),
            "{what}: {kept:?}"
        );
    }
    let other = ground.copy();
    other.disk.remove(&index).unwrap();
    assert_eq!(other.problems(), [""; 0], "it is made at the next opening");
    other.assert_holds_all_but(&BTreeSet::new(), "without an index");
}

#[test]
fn a_log_without_its_end_is_gone_on_with_only_on_demand() {
    let ground = Ground::new();
    let path = ground.segments().pop().unwrap();
    ground.disk.remove(&path).unwrap();
    assert!(Archive::open(ground.as_disk(), settings()).is_err());
    let safe = ground.repair(SAFE);
    assert!(safe.left[0].contains("--accept-loss"), "{safe:#?}");
    assert!(safe.done.is_empty());
    assert!(
        Archive::open(ground.as_disk(), settings()).is_err(),
        "nothing was done"
    );
    let report = ground.repair(ACCEPT);
    assert!(report.lost.iter().all(|lost| lost.given_up));
    let lost: BTreeSet<String> = report.lost.iter().map(|lost| lost.id.clone()).collect();
    ground.assert_holds_all_but(&lost, "without the end");
    assert_eq!(ground.problems(), [""; 0]);
    // Numbers of changes that were given before are not given again (invariant 5).
    let archive = ground.open();
    let before = archive.index().covered_lsn();
    common::store(&archive, common::file(Who(9, 9, 9, 9), 1, 100)).expect("stores");
    assert!(archive.index().covered_lsn() > before);
}

#[test]
fn what_a_rebuild_cannot_read_is_kept_from_compaction() {
    let ground = Ground::new();
    // The first record of a pack, whose header is all that names it once the index is gone.
    let path = ground.segments().remove(0);
    ground.rot(&path, 1024 + 20);
    let report = reindex(&ground.as_disk(), &settings(), &mut |_, _| {}).expect("reindexes");
    assert_eq!(report.skipped.len(), 1);
    assert!(
        report.skipped[0].contains("kept as quarantine/"),
        "{report:?}"
    );
    let kept = ground.quarantined();
    assert_eq!(kept.len(), 1);
    let folder = Path::new(ROOT).join("log/quarantine");
    let copy = ground
        .disk
        .open(&folder.join(&kept[0]), Open::Read)
        .unwrap();
    let mut bytes = vec![0; usize::try_from(copy.len().unwrap()).unwrap()];
    copy.read_at(&mut bytes, 0).unwrap();
    let is_whole = |file: &Vec<u8>| bytes.windows(file.len()).any(|window| window == file);
    assert_eq!(
        ground.files.values().filter(|file| is_whole(file)).count(),
        1
    );
    // Again, it is known already.
    reindex(&ground.as_disk(), &settings(), &mut |_, _| {}).expect("reindexes");
    assert_eq!(ground.quarantined(), kept);
}

/// Repairs until the power is cut at the `n`th sync; `None` if the repair ends before.
fn cut_during_a_repair(damaged: &CutDisk, ground: &Ground, n: u64) -> Option<CutDisk> {
    let disk = damaged.survive(Survival::Everything);
    disk.cut_at(Cut::AtSync(n));
    let cut = Ground {
        disk: Arc::new(disk.clone()),
        files: ground.files.clone(),
    };
    let result = cut.try_to_repair(ACCEPT);
    assert!(result.is_ok() || disk.is_cut(), "{result:?}");
    disk.is_cut().then_some(disk)
}

#[test]
fn a_repair_that_a_power_cut_ends_is_finished_by_the_next() {
    let ground = Ground::new();
    let segments = ground.segments();
    let index = Path::new(ROOT).join("index/index.db");
    let damages: [(&str, Damage<'_>); 5] = [
        ("a record's header", &|g| g.rot(&segments[1], 1024 + 20)),
        ("a blob", &|g| g.rot(&segments[1], 3000)),
        ("a pack", &|g| g.disk.remove(&segments[1]).unwrap()),
        ("the end", &|g| {
            g.disk.remove(&segments[segments.len() - 1]).unwrap()
        }),
        ("the index", &|g| {
            let file = g.disk.open(&index, Open::Write).unwrap();
            file.write_all_at(&[IoSlice::new(&[0x5A; 9000])], 0)
                .unwrap();
        }),
    ];
    let mut cuts = 0;
    for (what, damage) in damages {
        let disk = CutDisk::new();
        let damaged = ground.copy_to(Arc::new(disk.clone()));
        damage(&damaged);
        let report = damaged.copy().repair(ACCEPT);
        let lost: BTreeSet<String> = report.lost.into_iter().map(|lost| lost.id).collect();
        for n in 1.. {
            let Some(cut) = cut_during_a_repair(&disk, &ground, n) else {
                break;
            };
            cuts += 1;
            for survival in [Survival::Everything, Survival::Nothing, Survival::Seeded(n)] {
                let what = format!("{what}, cut at sync {n}, {survival:?}");
                let after = Ground {
                    disk: Arc::new(cut.survive(survival)),
                    files: ground.files.clone(),
                };
                after.repair(ACCEPT);
                assert_eq!(after.problems(), [""; 0], "{what}");
                after.assert_holds_all_but(&lost, &what);
                let is_kept = after
                    .quarantined()
                    .iter()
                    .any(|name| name.ends_with(".piece"));
                assert!(is_kept || !what.starts_with("a blob"), "{what}");
            }
        }
    }
    assert!(cuts > 20, "{cuts} cuts");
}
