//! An arrival becomes rows, or is found to be there.

use super::delete;
use super::extra;
use super::keys::{KeyKind, candidates};
use super::note;
use super::place::{self, Made, SeriesEntry};
use super::writer::{LIVE, SUPERSEDED, Transaction, number};
use crate::bits::{Signed, Unsigned};
use crate::error::Doing;
use crate::identity::{instance_id, qualified_patient_id};
use crate::{Arrival, BlobRow, DuplicatePolicy, FreedBlob, Ids, IndexError, Outcome};
use rusqlite::{OptionalExtension, params};
use vna_dicom::{Instance, Level};

impl Transaction<'_> {
    pub(crate) fn arrival(&mut self, arrival: &Arrival) -> Result<Outcome, IndexError> {
        let identity = &arrival.instance.identity;
        place::check_identity(identity, arrival.lsn)?;
        let (series, made) = place::place(self, arrival)?;
        let qualified = qualified_patient_id(&identity.patient_id, &identity.issuer_of_patient_id);
        let ids = Ids {
            patient: series.patient.public_id,
            study: series.study.public_id,
            series: series.public_id,
            instance: instance_id(&qualified, identity),
        };
        let hash = self
            .hasher
            .text(arrival.tenant, KeyKind::SopUid, &identity.sop_instance_uid);
        let (mut live, mut versions, mut elsewhere) = (None, Vec::new(), false);
        for id in candidates(self.connection, self.tail, hash)? {
            match self.twin(id, arrival)? {
                Some(twin) if twin.series != series.id => elsewhere |= twin.state == LIVE,
                Some(twin) if twin.state == LIVE => live = Some(twin),
                Some(twin) if twin.state == SUPERSEDED => versions.push(twin),
                _ => {}
            }
        }
        let conflict = elsewhere || series.conflict || series.study.conflict;
        let Some(live) = live else {
            let new = NewRow {
                version: 1,
                state: LIVE,
                expires_us: None,
                conflict: elsewhere,
            };
            let id = self.insert(arrival, &series, &ids, hash, new)?;
            self.new_instance(arrival, &series, id, made)?;
            return Ok(Outcome::Stored { ids, conflict });
        };
        let same = live.digest == arrival.blob.digest && live.plain_size == arrival.blob.plain_size;
        if same && arrival.policy != DuplicatePolicy::Always {
            return Ok(Outcome::AlreadyStored {
                ids,
                freed: FreedBlob::from(&arrival.blob),
            });
        }
        let last = versions
            .iter()
            .map(|twin| twin.version)
            .max()
            .unwrap_or(0)
            .max(live.version);
        let expires_us = arrival.received_us.saturating_add(arrival.keep_versions_us);
        if arrival.policy == DuplicatePolicy::Never {
            let kept = versions.iter().find(|twin| {
                twin.digest == arrival.blob.digest && twin.plain_size == arrival.blob.plain_size
            });
            if let Some(kept) = kept {
                return Ok(Outcome::KeptAsVersion {
                    ids,
                    version: kept.version,
                    expires_us: kept.expires_us.unwrap_or(expires_us),
                    freed: Some(FreedBlob::from(&arrival.blob)),
                });
            }
            let version = last + 1;
            let new = NewRow {
                version,
                state: SUPERSEDED,
                expires_us: Some(expires_us),
                conflict: elsewhere,
            };
            self.insert(arrival, &series, &ids, hash, new)?;
            return Ok(Outcome::KeptAsVersion {
                ids,
                version,
                expires_us,
                freed: None,
            });
        }
        let freed = self.supersede(&live, same, expires_us, &series, arrival)?;
        let version = last + 1;
        let new = NewRow {
            version,
            state: LIVE,
            expires_us: None,
            conflict: elsewhere,
        };
        let id = self.insert(arrival, &series, &ids, hash, new)?;
        // What replaces says how those above it are called now.
        for (level, above) in [
            (Level::Patient, series.patient.id),
            (Level::Study, series.study.id),
            (Level::Series, series.id),
        ] {
            self.retag(level, above, &arrival.instance)?;
        }
        self.new_instance(arrival, &series, id, made)?;
        Ok(Outcome::Superseded {
            ids,
            version,
            conflict,
            freed,
        })
    }

    /// Tells of an instance that is live now, and notes what it was made of.
    fn new_instance(
        &mut self,
        arrival: &Arrival,
        series: &SeriesEntry,
        id: i64,
        made: Made,
    ) -> Result<(), IndexError> {
        self.tell_new(arrival, series, id, made)?;
        if arrival.derivation.is_none() {
            return Ok(());
        }
        let made = [
            made.patient.then_some(series.patient.id),
            made.study.then_some(series.study.id),
            made.series.then_some(series.id),
            Some(id),
        ];
        self.derived(arrival, made)
    }

    /// The row `id`, if it has the SOP Instance UID of the arrival and nothing above it is deleted.
    fn twin(&self, id: i64, arrival: &Arrival) -> Result<Option<Twin>, IndexError> {
        self.connection
            .prepare_cached(
                "SELECT instance.id, instance.state, instance.series, version, expires_us, digest,
                        plain_size, stored_size
                 FROM instance JOIN series ON series.id = instance.series
                      JOIN study ON study.id = series.study JOIN patient ON patient.id = study.patient
                      JOIN blob ON blob.id = instance.blob
                 WHERE instance.id = ?1 AND instance.tenant = ?2 AND sop_uid = ?3
                   AND series.state = 0 AND study.state = 0 AND patient.state = 0",
            )
            .and_then(|mut statement| {
                statement
                    .query_row(
                        params![id, arrival.tenant, arrival.instance.identity.sop_instance_uid],
                        |row| {
                            Ok(Twin {
                                id: row.get(0)?,
                                state: row.get(1)?,
                                series: row.get(2)?,
                                version: row.get(3)?,
                                expires_us: row.get(4)?,
                                digest: row.get(5)?,
                                plain_size: row.get::<_, i64>(6)?.unsigned(),
                                stored_size: row.get(7)?,
                            })
                        },
                    )
                    .optional()
            })
            .doing("comparing with an instance of the same UID")
    }

    /// Takes the live row out of the way of a new one: to a version for a while, or out at once if the bytes
    /// are the same.
    fn supersede(
        &mut self,
        live: &Twin,
        same: bool,
        expires_us: i64,
        series: &SeriesEntry,
        arrival: &Arrival,
    ) -> Result<Option<FreedBlob>, IndexError> {
        self.pending.each_above(series, arrival.tenant, |counts| {
            counts.instances -= 1;
            counts.stored_bytes -= live.stored_size;
            counts.plain_bytes -= live.plain_size.signed();
        });
        // The one that comes next is the same resource.
        note::inherit(self.connection, live.id, self.meta.next_id, same)?;
        if same {
            let mut freed = Vec::new();
            delete::remove_instance(self, live.id, &mut freed)?;
            return Ok(freed.pop());
        }
        let tenant = self.pending.tenant(arrival.tenant);
        tenant.versions += 1;
        tenant.version_bytes += live.stored_size;
        self.connection
            .prepare_cached("UPDATE instance SET state = ?2, expires_us = ?3 WHERE id = ?1")
            .and_then(|mut statement| statement.execute(params![live.id, SUPERSEDED, expires_us]))
            .doing("superseding an instance")?;
        Ok(None)
    }

    fn insert(
        &mut self,
        arrival: &Arrival,
        series: &SeriesEntry,
        ids: &Ids,
        hash: i64,
        new: NewRow,
    ) -> Result<i64, IndexError> {
        let instance = &arrival.instance;
        let identity = &instance.identity;
        let id = self.new_id();
        let blob = self.insert_blob(&arrival.blob)?;
        let sop_class = self.word(&identity.sop_class_uid)?;
        let syntax = self.word(&instance.transfer_syntax_uid)?;
        let origin = self.origin(&arrival.origin)?;
        let pixel_offset = match &instance.pixel_data {
            Some(pixel_data) => Some(number(pixel_data.element_offset, "pixel data offset")?),
            None => None,
        };
        place::pack_level(instance, Level::Instance, &mut self.packed);
        self.connection
            .prepare_cached(
                "INSERT INTO instance (id, tenant, state, version, conflict, series, sop_uid, public_id,
                                       sop_class, syntax, index_in_series, frames, blob, file_size,
                                       data_set_offset, pixel_offset, origin, received_us, expires_us, lsn, tags)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
                         ?20, ?21)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    id,
                    arrival.tenant,
                    new.state,
                    new.version,
                    new.conflict,
                    series.id,
                    identity.sop_instance_uid,
                    ids.instance.0,
                    sop_class,
                    syntax,
                    index_in_series(instance),
                    instance.number_of_frames,
                    blob,
                    arrival.file_size.signed(),
                    instance.data_set_offset.signed(),
                    pixel_offset,
                    origin,
                    arrival.received_us,
                    new.expires_us,
                    arrival.lsn.signed(),
                    self.packed,
                ])
            })
            .doing("adding an instance")?;
        self.add_key(hash, id);
        self.add_key(self.hasher.public_id(arrival.tenant, &ids.instance), id);
        extra::keep(self.connection, Level::Instance, id, instance)?;
        self.note_extra_generation(instance)?;
        if new.state != LIVE {
            let tenant = self.pending.tenant(arrival.tenant);
            tenant.versions += 1;
            tenant.version_bytes += number(arrival.blob.stored_size, "stored size")?;
            return Ok(id);
        }
        let stored = number(arrival.blob.stored_size, "stored size")?;
        let plain = number(arrival.blob.plain_size, "plain size")?;
        self.pending.each_above(series, arrival.tenant, |counts| {
            counts.instances += 1;
            counts.stored_bytes += stored;
            counts.plain_bytes += plain;
            counts.last_update_us = counts.last_update_us.max(arrival.received_us);
        });
        let mut classes = series.classes.lock();
        if !classes.contains(&sop_class) {
            self.connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO series_class (series, sop_class) VALUES (?1, ?2)",
                )
                .and_then(|mut statement| statement.execute(params![series.id, sop_class]))
                .doing("noting a SOP class")?;
            classes.push(sop_class);
        }
        Ok(id)
    }

    pub(crate) fn insert_blob(&mut self, blob: &BlobRow) -> Result<i64, IndexError> {
        let id = self.meta.next_blob;
        self.meta.next_blob += 1;
        self.connection
            .prepare_cached(
                "INSERT INTO blob (id, store, key, place_a, place_b, stored_size, plain_size, encoding, digest,
                                   availability, refs)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    id,
                    blob.store,
                    blob.key,
                    blob.place_a,
                    blob.place_b,
                    blob.stored_size.signed(),
                    blob.plain_size.signed(),
                    blob.encoding,
                    blob.digest,
                    blob.availability,
                ])
            })
            .doing("adding a blob")?;
        Ok(id)
    }
}

/// An instance that has the SOP Instance UID of an arrival.
struct Twin {
    id: i64,
    state: i64,
    series: i64,
    version: i64,
    expires_us: Option<i64>,
    digest: [u8; 16],
    plain_size: u64,
    stored_size: i64,
}

struct NewRow {
    version: i64,
    state: i64,
    expires_us: Option<i64>,
    conflict: bool,
}

/// What clients know as IndexInSeries.
pub(crate) fn index_in_series(instance: &Instance) -> Option<i64> {
    let number = |tag| instance.tag(tag)?.trim().parse::<i64>().ok();
    number(vna_dicom::tags::INSTANCE_NUMBER).or_else(|| number(vna_dicom::Tag(0x0054, 0x1330)))
}
