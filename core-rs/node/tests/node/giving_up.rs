//! Originals that an operator gives up: another file takes their place, which shows the same, and nothing is lost on the way.

use std::sync::Arc;

use crate::common::{Who, store};
use crate::images::{GRAY, Image, images, settings};
use vna_codec::{CodecSettings, Codecs};
use vna_dicom::EXPLICIT_VR_LITTLE_ENDIAN;
use vna_index::Outcome;
use vna_io::{Cut, CutDisk, Disk, MemoryDisk, Survival};
use vna_node::{
    Archive, DEFAULT_TENANT, LocalFile, Method, RecompressStep, Settings, ToRecompress,
    TranscodeOptions, Transcoded, check, now_us, recompress, reindex,
};

const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
const J2K: &str = "1.2.840.10008.1.2.4.90";

fn transcoded(file: &[u8], to: &str) -> Option<Vec<u8>> {
    let codecs = Arc::new(Codecs::new(CodecSettings::default()));
    let options = TranscodeOptions {
        allow_new_uid: to == JPEG_BASELINE,
        ..TranscodeOptions::default()
    };
    let source = LocalFile::Held(file.into());
    let mut reading = Transcoded::of(source, to, &options, &codecs).ok()?;
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 60_000]);
    loop {
        match reading.read(&mut piece).expect("transcodes") {
            0 => return Some(bytes),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

/// Every made-up image in one of the syntaxes that lose nothing, as far as their codecs take it.
fn compressed() -> Vec<(Who, Vec<u8>)> {
    let syntaxes = [RLE, JPEG_LOSSLESS, RLE, J2K, RLE, JPEG_LS];
    let numbered = (1..).zip(images()).zip(syntaxes.into_iter().cycle());
    let files = numbered.filter_map(|((number, image), syntax)| {
        let who = Who(1, 1, number % 5, number);
        Some((who, transcoded(&image.file(who), syntax)?))
    });
    files.collect()
}

fn archive_with(disk: &Arc<dyn Disk>, files: &[(Who, Vec<u8>)], settings: &Settings) {
    let archive = Archive::open(Arc::clone(disk), settings.clone()).expect("opens");
    for (who, file) in files {
        store(&archive, file.clone()).unwrap_or_else(|error| panic!("{who:?}: {error}"));
    }
    archive.stop().expect("stops");
}

fn wanted(method: Method) -> ToRecompress {
    ToRecompress {
        method,
        older_than_days: 0,
        dry_run: false,
        give_up_originals: true,
        lossy: false,
        after: 0,
    }
}

fn run(disk: &Arc<dyn Disk>, settings: &Settings, wanted: &ToRecompress) -> RecompressStep {
    let mut sum = RecompressStep::default();
    recompress(disk, settings, wanted, now_us(), &mut |step| {
        assert_eq!(step.problem, None);
        sum.files += step.files;
        sum.recompressed += step.recompressed;
        sum.bytes_before += step.bytes_before;
        sum.bytes_after += step.bytes_after;
        sum.sampled_before += step.sampled_before;
        sum.sampled_after += step.sampled_after;
        Ok(())
    })
    .expect("recompresses");
    sum
}

/// What the archive gives for each, with the transfer syntax that its row tells.
fn held(archive: &Archive, files: &[(Who, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let of = |file: &[u8]| {
        let identity = vna_dicom::read_instance(file)
            .expect("a DICOM file")
            .identity;
        let id = vna_index::public_ids(&identity).instance;
        let opened = archive.open_file(DEFAULT_TENANT, &id).unwrap();
        let (located, stored) = opened.expect("is there");
        stored.verify().unwrap();
        let bytes = stored.read_all().unwrap();
        assert_eq!(located.file_size, bytes.len() as u64);
        assert_eq!(located.sop_instance_uid, identity.sop_instance_uid);
        let head = vna_dicom::read_instance(&bytes).expect("a DICOM file");
        assert_eq!(head.transfer_syntax_uid, located.transfer_syntax_uid);
        assert_eq!(head.data_set_offset, located.data_set_offset);
        let pixel_data = head.pixel_data.map(|pixel_data| pixel_data.element_offset);
        assert_eq!(pixel_data, located.pixel_data_offset);
        (located.transfer_syntax_uid, bytes)
    };
    files.iter().map(|(_, file)| of(file)).collect()
}

/// Each instance shows what it showed, whichever file it has now; gives how many have another one.
fn assert_same_instances(archive: &Archive, files: &[(Who, Vec<u8>)], of: &str) -> usize {
    let mut replaced = 0;
    for ((who, before), (_, now)) in files.iter().zip(held(archive, files)) {
        if now == *before {
            continue;
        }
        replaced += 1;
        let plain = |file: &[u8]| transcoded(file, EXPLICIT_VR_LITTLE_ENDIAN);
        // RLE keeps the planar configuration, which JPEG has none of.
        let in_jpeg = |file: &[u8]| transcoded(file, JPEG_LOSSLESS).expect("encodes");
        assert!(
            plain(&now) == plain(before) || in_jpeg(&now) == in_jpeg(before),
            "{of}: {who:?}"
        );
    }
    replaced
}

#[test]
fn another_file_takes_the_place_of_the_original_and_shows_the_same() {
    let files = compressed();
    assert!(files.len() > 20, "{} files", files.len());
    for (method, large) in [(Method::Htj2k, 9_000), (Method::JpegLs, 1_000_000)] {
        let (settings, of) = (settings(large), format!("{method:?}"));
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        archive_with(&disk, &files, &settings);
        let dry = ToRecompress {
            dry_run: true,
            ..wanted(method)
        };
        let dry = run(&disk, &settings, &dry);
        assert_eq!((dry.files, dry.recompressed), (files.len() as u64, 0));
        assert!(dry.sampled_after < dry.sampled_before, "{of}: {dry:?}");

        let done = run(&disk, &settings, &wanted(method));
        assert!(done.recompressed > 6, "{of}: {done:?}");
        assert!(done.bytes_after < done.bytes_before, "{of}: {done:?}");
        println!("{of}: {done:?}");
        assert_eq!(run(&disk, &settings, &wanted(method)).files, 0, "{of}");

        let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
        let replaced = assert_same_instances(&archive, &files, &of);
        assert_eq!(replaced as u64, done.recompressed);
        let now = held(&archive, &files);
        let told = archive.index().totals().unwrap();
        assert!(told.stored_bytes < told.plain_bytes);
        assert_eq!(archive.index().verify().unwrap(), Vec::<String>::new());
        // What was received is known again, whichever file took its place.
        for (who, file) in &files {
            let again = store(&archive, file.clone()).expect("takes it");
            assert!(
                matches!(again, Outcome::AlreadyStored { .. }),
                "{of}: {who:?} {again:?}"
            );
        }
        archive.stop().expect("stops");
        drop(archive);
        let report = check(&disk, &settings, &mut |_, _| {}).expect("checks");
        assert_eq!(report.problems, Vec::<String>::new(), "{of}");

        let rebuilt = reindex(&disk, &settings, &mut |_, _| {}).expect("rebuilds");
        assert_eq!(rebuilt.instances, files.len() as u64);
        assert_eq!(rebuilt.skipped, Vec::<String>::new());
        let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
        assert!(held(&archive, &files) == now, "{of}, reindexed");
        archive.compact(100, now_us()).expect("compacts");
        assert!(held(&archive, &files) == now, "{of}, compacted");
    }
}

#[test]
fn one_file_can_follow_another_and_the_reversible_forms_keep_off() {
    let (mut files, settings) = (compressed(), settings(9_000));
    let native = Who(2, 1, 1, 1);
    files.push((native, GRAY.file(native)));
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    archive_with(&disk, &files, &settings);
    let reversible = ToRecompress {
        give_up_originals: false,
        ..wanted(Method::Htj2k)
    };
    assert_eq!(run(&disk, &settings, &reversible).recompressed, 1);
    let first = run(&disk, &settings, &wanted(Method::J2k));
    let second = run(&disk, &settings, &wanted(Method::JpegLs));
    assert!(first.recompressed > 0 && second.recompressed > 0);
    let archive = Archive::open(Arc::clone(&disk), settings).expect("opens");
    assert_same_instances(&archive, &files, "JPEG-LS after JPEG 2000");
    // The native one is what it was.
    assert_eq!(held(&archive, &files).pop().unwrap().1, GRAY.file(native));
}

#[test]
fn what_was_compressed_with_loss_is_left_alone_unless_the_operator_says_so() {
    let who = Who(1, 1, 1, 1);
    let image = Image {
        allocated: 8,
        stored: 8,
        rows: 301,
        columns: 203,
        ..GRAY
    };
    // Small frames, of which JPEG's tables take the most.
    let small = Image {
        rows: 16,
        columns: 16,
        frames: 5,
        ..image
    };
    for (image, pays) in [(image, false), (small, true)] {
        let settings = settings(1_000_000);
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let lossy = transcoded(&image.file(who), JPEG_BASELINE).expect("encodes");
        let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
        store(&archive, lossy.clone()).expect("stores");
        archive.stop().expect("stops");
        drop(archive);
        let done = run(&disk, &settings, &wanted(Method::Htj2k));
        assert_eq!((done.files, done.recompressed), (1, 0));
        let allowed = ToRecompress {
            lossy: true,
            ..wanted(Method::JpegLs)
        };
        let done = run(&disk, &settings, &allowed);
        assert_eq!((done.files, done.recompressed > 0), (1, pays));
        let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
        assert_same_instances(&archive, &[(who, lossy)], "with loss");
    }
}

#[test]
fn a_power_cut_at_any_sync_leaves_the_one_file_or_the_other() {
    let settings = Settings {
        storage: vna_node::StorageSettings {
            segment_bytes: 12_000,
            ..settings(4_000).storage
        },
        ..settings(4_000)
    };
    let files: Vec<_> = (1..=4)
        .map(|number| {
            let who = Who(1, 1, 1, number);
            let frames = u32::from(number);
            let image = Image { frames, ..GRAY };
            (who, transcoded(&image.file(who), RLE).expect("encodes"))
        })
        .collect();
    let prepared = CutDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(prepared.clone());
    archive_with(&disk, &files, &settings);
    let mut replaced = Vec::new();
    for n in 1.. {
        let cut = prepared.survive(Survival::Everything);
        cut.cut_at(Cut::AtSync(n));
        let disk: Arc<dyn Disk> = Arc::new(cut.clone());
        let each = &mut |_: &RecompressStep| Ok(());
        let ended = recompress(&disk, &settings, &wanted(Method::Htj2k), now_us(), each);
        drop(disk);
        assert!(ended.is_ok() || cut.is_cut(), "{ended:?}");
        for survival in [
            Survival::Everything,
            Survival::Nothing,
            Survival::Seeded(n << 20),
        ] {
            let of = format!("cut at sync {n}, {survival:?}");
            let disk: Arc<dyn Disk> = Arc::new(cut.survive(survival));
            let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
            assert!(archive.replayed().skipped.is_empty(), "{of}");
            replaced.push(assert_same_instances(&archive, &files, &of));
            archive.stop().expect("stops");
            drop(archive);
            let report = check(&disk, &settings, &mut |_, _| {}).expect("checks");
            assert_eq!(report.problems, Vec::<String>::new(), "{of}");
            let rebuilt = reindex(&disk, &settings, &mut |_, _| {}).expect("rebuilds");
            assert_eq!(rebuilt.instances, files.len() as u64, "{of}");
            assert_eq!(rebuilt.skipped, Vec::<String>::new(), "{of}");
            // What was begun is finished by the same request.
            run(&disk, &settings, &wanted(Method::Htj2k));
            let archive = Archive::open(Arc::clone(&disk), settings.clone()).expect("opens");
            assert_eq!(assert_same_instances(&archive, &files, &of), files.len());
        }
        if !cut.is_cut() {
            println!("cut at {} syncs", n - 1);
            break;
        }
    }
    assert!(replaced.contains(&0) && replaced.contains(&files.len()));
}
