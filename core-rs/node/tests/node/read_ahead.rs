//! Searches tell the disk which headers they are about to read: one after the other, each would be waited for.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use vna_dicom::{DataElement, DataSet, EXPLICIT_VR_LITTLE_ENDIAN, Level, Tag, Vr, tags};
use vna_index::{Page, UidPath};
use vna_io::{Disk, DiskFile, MemoryDisk, Open, SyncSite};
use vna_node::web::{
    Answer, SearchOptions, SearchTarget, Selection, Wanted, WebSearch, What, search,
};
use vna_node::{Archive, CFind, CFindOptions, DEFAULT_TENANT, ListOptions, list_json};

use crate::c_find::settings;
use crate::common::{Who, file, store};

/// Headers that are told of at a time.
const AHEAD: usize = 64;

const INSTANCES: u8 = 150;

/// Nothing that the index keeps.
const DERIVATION_DESCRIPTION: Tag = Tag(0x0008, 0x2111);

/// What happened to a stored file: bytes of it, as start and end.
#[derive(Clone, PartialEq, Debug)]
enum Event {
    Told(PathBuf, u64, u64),
    Read(PathBuf, u64, u64),
}

type Events = Arc<Mutex<Vec<Event>>>;

/// A disk that writes down what is told of stored files, and what is read of them.
struct Watched {
    disk: MemoryDisk,
    events: Events,
}

struct WatchedFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    events: Events,
}

impl WatchedFile {
    fn note(&self, event: Event) {
        if self.path.starts_with("/archive/log") {
            self.events.lock().unwrap().push(event);
        }
    }
}

impl Disk for Watched {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(WatchedFile {
            file: self.disk.open(path, how)?,
            path: path.to_owned(),
            events: Arc::clone(&self.events),
        }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn sync_dir(&self, folder: &Path, site: SyncSite) -> io::Result<()> {
        self.disk.sync_dir(folder, site)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

impl DiskFile for WatchedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.file.read_at(buffer, offset)?;
        self.note(Event::Read(self.path.clone(), offset, offset + read as u64));
        Ok(read)
    }
    fn will_read(&self, offset: u64, bytes: u64) {
        self.note(Event::Told(self.path.clone(), offset, offset + bytes));
    }
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.file.write_all_at(parts, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
    fn sync_data(&self, site: SyncSite) -> io::Result<()> {
        self.file.sync_data(site)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}

/// A series whose instances are in a segment, or each in a file of its own.
fn archive(are_large: bool) -> (Archive, Events) {
    let events = Events::default();
    let disk = Watched {
        disk: MemoryDisk::new(),
        events: Arc::clone(&events),
    };
    let mut settings = settings();
    settings.storage.large_object_bytes = if are_large { 16 << 10 } else { 1 << 20 };
    let archive = Archive::open(Arc::new(disk), settings).expect("opens");
    for number in 1..=INSTANCES {
        store(&archive, file(Who(1, 1, 1, number), 1, 20_000)).expect("is stored");
    }
    events.lock().unwrap().clear();
    (archive, events)
}

/// Each read lies within what was told of before it, and so much was told of before the first.
fn were_told_of(events: &Events, at_first: usize, in_all: usize) {
    let events = std::mem::take(&mut *events.lock().unwrap());
    let is_told = |event: &Event| matches!(event, Event::Told(..));
    let before_reads = events.iter().take_while(|one| is_told(one)).count();
    assert!(before_reads >= at_first, "{before_reads} were told of");
    assert_eq!(events.iter().filter(|one| is_told(one)).count(), in_all);
    for (at, event) in events.iter().enumerate() {
        let Event::Read(path, from, to) = event else {
            continue;
        };
        let has = |told: &Event| matches!(told, Event::Told(of, start, end) if of == path && start <= from && to <= end);
        assert!(events[..at].iter().any(has), "{event:?}");
    }
    let reads = events.iter().filter(|one| !is_told(one)).count();
    assert!(reads >= in_all - 1, "{reads} reads");
}

#[test]
fn a_page_of_instances_is_told_of_before_its_headers_are_read() {
    for are_large in [false, true] {
        let (archive, events) = archive(are_large);
        let target = SearchTarget {
            level: Level::Instance,
            study: Some(Who(1, 1, 1, 1).study_uid()),
            series: Some(Who(1, 1, 1, 1).series_uid()),
        };
        let asked =
            WebSearch::read(target, "limit=100&includefield=DerivationDescription").expect("reads");
        let options = SearchOptions {
            tenant: DEFAULT_TENANT,
            max_results: 1_000,
            root: "http://a/dicom-web".into(),
            boundary: None,
        };
        let found = search(&archive, &asked, &options).expect("is answered");
        assert_eq!(found.results, 100);
        // One more than is given shows whether there are more.
        were_told_of(&events, AHEAD, 101);
    }
}

#[test]
fn headers_below_a_resource_are_told_of_before_they_are_compared() {
    let (archive, events) = archive(false);
    let identifier: DataSet = [
        DataElement::new(Tag(0x0008, 0x0052), Vr::CS, "STUDY"),
        DataElement::new(tags::STUDY_INSTANCE_UID, Vr::UI, ""),
        DataElement::new(DERIVATION_DESCRIPTION, Vr::ST, "nobody has it"),
    ]
    .into_iter()
    .collect();
    let identifier = identifier.write(EXPLICIT_VR_LITTLE_ENDIAN).expect("writes");
    let options = CFindOptions::default();
    let mut find =
        CFind::open(&archive, &identifier, EXPLICIT_VR_LITTLE_ENDIAN, &options).expect("opens");
    while let Some(page) = find.next_page(&archive).expect("a page") {
        assert_eq!(page.answers().count(), 0);
    }
    // The first look is at one instance: it usually tells.
    were_told_of(&events, 1, usize::from(INSTANCES));
}

#[test]
fn a_list_with_requested_tags_tells_of_the_headers_that_have_them() {
    let (archive, events) = archive(false);
    let options = ListOptions {
        expand: true,
        requested_tags: vec!["DerivationDescription".into()],
        ..ListOptions::default()
    };
    let page = Page {
        since: 0,
        limit: 100,
    };
    let list = list_json(&archive, DEFAULT_TENANT, Level::Instance, page, &options);
    assert!(list.expect("is listed").starts_with(b"[{"));
    were_told_of(&events, AHEAD, 100);
}

#[test]
fn metadata_of_a_series_tells_of_the_headers_of_a_chunk() {
    let (archive, events) = archive(false);
    let (study, archive) = (Who(1, 1, 1, 1).study_uid(), Arc::new(archive));
    let path = UidPath {
        study: &study,
        series: None,
        instance: None,
    };
    let selection = Selection::find(&archive, DEFAULT_TENANT, &path).expect("is found");
    let wanted = Wanted {
        what: What::Metadata,
        root: "http://a/dicom-web".into(),
        multipart: false,
        forms: Default::default(),
        gzip: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let mut answer = Answer::prepare(&selection, wanted)
            .await
            .expect("is prepared");
        while answer.next().await.expect("goes on").is_some() {}
    });
    were_told_of(&events, AHEAD, usize::from(INSTANCES));
}
