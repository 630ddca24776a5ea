//! What the archive says of itself: health and metrics.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use vna_codec::CodecCounts;

use crate::archive::Archive;
use crate::archives::ArchiveCounters;
use crate::dimse::Snapshot;
use crate::error::ArchiveError;
use crate::histogram::{BOUNDS_US, Histogram};
use crate::pictures::PictureCounters;
use crate::web::WebCounters;

/// The body of `/health/ready`: whether instances can be stored, and why not.
pub fn health_json(archive: &Archive, listening: bool) -> Vec<u8> {
    let room = archive.log().room_bytes();
    let has_room = room.as_ref().is_ok_and(|bytes| *bytes > 0);
    let ready = archive.is_ready() && has_room;
    serde_json::json!({
        "ready": ready,
        "index_follows_log": archive.is_ready(),
        "room_bytes": room.ok(),
        "dicom_listens": listening,
        "replayed_at_start": archive.replayed().records,
        "skipped_at_start": archive.replayed().skipped.len(),
    })
    .to_string()
    .into_bytes()
}

/// The body of `/metrics`, in Prometheus' text form.
///
/// # Errors
///
/// What the index says.
pub fn metrics_text(archive: &Archive, dimse: Option<&Snapshot>) -> Result<String, ArchiveError> {
    let mut text = Exposition::default();
    let held = archive.index().totals()?;
    text.gauge("vna_patients", "Patients in the archive", held.patients);
    text.gauge("vna_studies", "Studies in the archive", held.studies);
    text.gauge("vna_series", "Series in the archive", held.series);
    text.gauge(
        "vna_instances",
        "Live instances in the archive",
        held.instances,
    );
    text.gauge(
        "vna_stored_bytes",
        "Bytes of live instances",
        held.stored_bytes,
    );
    text.gauge(
        "vna_plain_bytes",
        "Bytes of live instances as they were received, before recompression",
        held.plain_bytes,
    );
    text.gauge(
        "vna_kept_version_bytes",
        "Bytes of versions that are not live",
        held.version_bytes,
    );

    let log = archive.log().stats();
    text.gauge(
        "vna_log_segments",
        "Segments of the log",
        log.segments as u64,
    );
    text.gauge("vna_log_bytes", "Bytes of all segments", log.bytes);
    text.gauge(
        "vna_log_live_bytes",
        "Bytes of live blobs in segments",
        log.live_bytes,
    );
    text.counter(
        "vna_log_appended_bytes_total",
        "Bytes appended to the log",
        log.appended_bytes,
    );
    text.counter("vna_log_groups_total", "Groups synced", log.groups);
    text.counter(
        "vna_log_failed_groups_total",
        "Groups whose sync failed",
        log.failed_groups,
    );
    text.counter(
        "vna_log_refused_groups_total",
        "Groups whose write was refused",
        log.refused_groups,
    );
    text.counter(
        "vna_log_compacted_bytes_total",
        "Bytes copied by compaction",
        log.compacted_bytes,
    );
    text.counter(
        "vna_log_reclaimed_bytes_total",
        "Bytes of packs removed",
        log.reclaimed_bytes,
    );

    let commits = archive.commits();
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    text.counter(
        "vna_committed_records_total",
        "Records synced and applied",
        read(&commits.records),
    );
    text.counter(
        "vna_failed_records_total",
        "Records refused: log or index failed",
        read(&commits.failed),
    );
    text.counter(
        "vna_duplicates_total",
        "Instances that came again with other bytes",
        read(&commits.duplicates),
    );
    text.counter(
        "vna_conflicts_total",
        "Instances of which a UID is live under two parents",
        read(&commits.conflicts),
    );
    text.counter(
        "vna_without_room_total",
        "Instances refused, because a bound has no room for them",
        read(&commits.without_room),
    );
    text.counter(
        "vna_recycled_patients_total",
        "Patients deleted to make room",
        read(&commits.recycled),
    );
    text.histogram(
        "vna_commit_seconds",
        "From the hand-over of a record to its answer",
        &commits.latency,
    );
    text.histogram(
        "vna_c_store_seconds",
        "From the whole of a C-STORE request, or the beginning of a streamed one, to its answer",
        &archive.c_stores,
    );
    text.histogram(
        "vna_http_plain_request_seconds",
        "Requests over HTTP that the core answered alone, to the head of the answer",
        &archive.plain_requests,
    );
    text.gauge(
        "vna_index_follows_log",
        "1 while the index follows the log",
        u64::from(archive.is_ready()),
    );

    let unpacked = archive.files().unpacked();
    text.gauge(
        "vna_unpacked_cache_bytes",
        "Parts of recompressed files kept for their next reader",
        unpacked.bytes(),
    );
    text.counter(
        "vna_unpacked_cache_hits_total",
        "Parts of recompressed files found unpacked",
        read(&unpacked.hits),
    );
    text.counter(
        "vna_unpacked_cache_misses_total",
        "Parts of recompressed files unpacked anew",
        read(&unpacked.misses),
    );

    codecs_text(&mut text, &archive.codecs().counts());
    let spool = archive.spool_settings();
    text.gauge(
        "vna_transcoding_held_bytes",
        "Memory of frames that wait to leave",
        spool.used_bytes(),
    );
    text.gauge(
        "vna_transcoding_held_budget_bytes",
        "Memory that they may hold; more wait in files",
        spool.memory_bytes(),
    );
    pictures_text(&mut text, &archive.pictures().counters());
    web_text(&mut text, &archive.web().counters());
    archives_text(&mut text, archive.archives().counters());
    if let Some(dimse) = dimse {
        dimse_text(&mut text, dimse);
    }
    Ok(text.0)
}

fn codecs_text(text: &mut Exposition, codecs: &CodecCounts) {
    text.labelled(
        "vna_codec_frames_total",
        "Frames of images by what became of them; the last three were lost with the process of their codec",
        "outcome",
        &[
            ("decoded", codecs.decoded),
            ("encoded", codecs.encoded),
            ("refused", codecs.refused),
            ("crashed", codecs.crashed),
            ("timed_out", codecs.timed_out),
            ("not_started", codecs.not_started),
        ],
    );
    text.gauge("vna_codec_helpers", "Processes of codecs", codecs.helpers);
    text.counter(
        "vna_codec_helpers_started_total",
        "Processes of codecs started",
        codecs.helpers_started,
    );
    text.gauge(
        "vna_codec_used_bytes",
        "Memory of frames in work",
        codecs.used_bytes,
    );
    text.gauge(
        "vna_codec_budget_bytes",
        "Most memory of frames",
        codecs.budget_bytes,
    );
    text.gauge(
        "vna_codec_idle_bytes",
        "Memory that processes of codecs keep for their next frame",
        codecs.idle_bytes,
    );
}

fn archives_text(text: &mut Exposition, archives: ArchiveCounters) {
    text.counter(
        "vna_archives_total",
        "ZIP archives and media begun",
        archives.made,
    );
    text.gauge(
        "vna_archives_used_bytes",
        "Memory held by archives in the making",
        archives.memory_used_bytes,
    );
    text.gauge(
        "vna_archives_budget_bytes",
        "Memory that archives in the making may hold",
        archives.memory_budget_bytes,
    );
}

fn web_text(text: &mut Exposition, web: &WebCounters) {
    text.counter(
        "vna_web_metadata_hits_total",
        "Headers of series that need not be written again",
        web.metadata_hits,
    );
    text.gauge(
        "vna_web_metadata_cache_bytes",
        "Memory held by headers of series",
        web.metadata_cache_bytes,
    );
    text.gauge(
        "vna_web_metadata_cache_budget_bytes",
        "Memory that they may hold",
        web.metadata_cache_budget_bytes,
    );
    text.counter(
        "vna_web_frame_table_hits_total",
        "Frame tables that need not be read again",
        web.frame_table_hits,
    );
    text.gauge(
        "vna_web_frame_table_cache_bytes",
        "Memory held by frame tables",
        web.frame_table_cache_bytes,
    );
    text.gauge(
        "vna_web_frame_table_cache_budget_bytes",
        "Memory that they may hold",
        web.frame_table_cache_budget_bytes,
    );
}

fn pictures_text(text: &mut Exposition, pictures: &PictureCounters) {
    text.counter("vna_pictures_total", "Pictures rendered", pictures.rendered);
    text.gauge(
        "vna_pictures_used_bytes",
        "Memory held by pictures and arrays in the making",
        pictures.memory_used_bytes,
    );
    text.gauge(
        "vna_pictures_budget_bytes",
        "Memory that they may hold",
        pictures.memory_budget_bytes,
    );
    text.counter(
        "vna_pictures_waits_total",
        "Times that a picture waited for memory",
        pictures.memory_waits,
    );
    text.counter(
        "vna_picture_header_hits_total",
        "Headers of images that need not be read again",
        pictures.header_hits,
    );
    text.gauge(
        "vna_picture_header_cache_bytes",
        "Memory held by headers of images",
        pictures.header_cache_bytes,
    );
    text.gauge(
        "vna_picture_header_cache_budget_bytes",
        "Memory that they may hold",
        pictures.header_cache_budget_bytes,
    );
    text.gauge(
        "vna_thumbnail_cache_bytes",
        "Thumbnails on the disk, once the cache was used",
        pictures.thumbnail_cache_bytes,
    );
    text.gauge(
        "vna_thumbnail_cache_budget_bytes",
        "Bytes that thumbnails may take on the disk",
        pictures.thumbnail_cache_budget_bytes,
    );
    text.counter(
        "vna_thumbnail_hits_total",
        "Thumbnails that were found in the cache",
        pictures.thumbnail_hits,
    );
    text.counter(
        "vna_thumbnail_misses_total",
        "Thumbnails that were not",
        pictures.thumbnail_misses,
    );
    text.counter(
        "vna_thumbnails_removed_total",
        "Thumbnails removed from the cache",
        pictures.thumbnails_evicted,
    );
    text.counter(
        "vna_thumbnail_failures_total",
        "Files of the cache that were damaged, or could not be read, written or removed",
        pictures.thumbnail_failures,
    );
}

fn dimse_text(text: &mut Exposition, dimse: &Snapshot) {
    let totals = &dimse.totals;
    text.gauge(
        "vna_dimse_connections",
        "Open TCP connections",
        dimse.open_connections as u64,
    );
    text.gauge(
        "vna_dimse_associations",
        "Open associations",
        dimse.open_associations as u64,
    );
    text.gauge(
        "vna_spool_used_bytes",
        "Spool budget in use",
        dimse.spool_used_bytes as u64,
    );
    text.gauge(
        "vna_spool_budget_bytes",
        "Spool budget",
        dimse.spool_budget_bytes as u64,
    );
    text.gauge(
        "vna_spool_idle_bytes",
        "Spool buffers kept for reuse",
        dimse.spool_idle_bytes as u64,
    );
    text.counter(
        "vna_spool_waits_total",
        "Times that an association waited for the budget",
        dimse.spool_waits,
    );
    text.counter(
        "vna_dimse_connections_total",
        "TCP connections accepted",
        totals.connections,
    );
    text.counter(
        "vna_dimse_connections_refused_total",
        "TCP connections closed at once",
        totals.connections_refused,
    );
    text.counter(
        "vna_dimse_accept_errors_total",
        "Failures to accept a connection",
        totals.accept_errors,
    );
    text.counter(
        "vna_dimse_associations_total",
        "Associations accepted",
        totals.accepted,
    );
    text.counter(
        "vna_dimse_echoes_total",
        "C-ECHO requests answered",
        totals.echoes,
    );
    text.counter(
        "vna_dimse_requests_total",
        "Requests handed over to services",
        totals.requests,
    );
    text.counter(
        "vna_dimse_stored_total",
        "C-STORE requests answered with success",
        totals.stored,
    );
    text.counter(
        "vna_dimse_refused_total",
        "C-STORE requests answered otherwise",
        totals.refused,
    );
    text.counter(
        "vna_dimse_streamed_total",
        "C-STORE requests streamed to a file",
        totals.streamed,
    );
    text.counter(
        "vna_dimse_data_set_bytes_total",
        "Bytes of data sets received",
        totals.data_set_bytes,
    );
    text.labelled(
        "vna_dimse_rejected_total",
        "Associations rejected",
        "reason",
        &totals.rejected,
    );
    text.labelled(
        "vna_dimse_ended_total",
        "Connections ended",
        "how",
        &totals.ended,
    );
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, "gauge");
        self.sample(format_args!("{name} {value}"));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, "counter");
        self.sample(format_args!("{name} {value}"));
    }

    fn labelled(&mut self, name: &str, help: &str, label: &str, values: &[(&'static str, u64)]) {
        self.family(name, help, "counter");
        for (key, value) in values {
            self.sample(format_args!("{name}{{{label}=\"{key}\"}} {value}"));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, durations: &Histogram) {
        self.family(name, help, "histogram");
        let (counts, sum_us) = durations.snapshot();
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        for (bound, count) in BOUNDS_US.iter().zip(counts) {
            self.sample(format_args!(
                "{name}_bucket{{le=\"{}\"}} {count}",
                seconds(*bound)
            ));
        }
        let all = counts[BOUNDS_US.len()];
        self.sample(format_args!("{name}_bucket{{le=\"+Inf\"}} {all}"));
        self.sample(format_args!("{name}_sum {}", seconds(sum_us)));
        self.sample(format_args!("{name}_count {all}"));
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        self.sample(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn sample(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }
}
