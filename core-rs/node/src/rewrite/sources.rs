//! Which instances are written anew, and which UIDs are theirs.

use std::collections::HashSet;

use vna_dicom::edit::{EditError, Recipe, Scope};
use vna_dicom::{Level, PublicId};
use vna_index::InstanceUids;

use super::request::{NamedResource, RewriteRequest, parse_id};
use crate::archive::Archive;
use crate::error::ArchiveError;

/// The instances in their order, and the scope of their UIDs.
pub(super) struct Sources {
    pub instances: Vec<PublicId>,
    pub scope: Scope,
}

impl Sources {
    /// The instances that a request names, or what is in the resources that it names. Named instances that are not there
    /// (any more) keep their places.
    pub fn of(
        archive: &Archive,
        tenant: i64,
        request: &RewriteRequest,
        recipe: &Recipe,
    ) -> Result<Self, ArchiveError> {
        if request.instances.is_empty() {
            return Self::find(archive, tenant, &request.resources, recipe);
        }
        let level = Level::Instance;
        let ids = request.instances.iter().map(|id| parse_id(level, id));
        let instances: Vec<PublicId> = ids.collect::<Result<_, _>>()?;
        let index = archive.index();
        let mut numbers = Vec::with_capacity(instances.len());
        for id in &instances {
            numbers.extend(index.number(tenant, level, id, level)?);
        }
        let scope = scope_of(&index.instances(level, &numbers, None)?)?;
        Ok(Sources { instances, scope })
    }

    /// Finds the instances in some resources.
    ///
    /// Their order follows from their UIDs alone, so it stays when some of them were written anew in place. What the
    /// recipe has made of others is left out.
    fn find(
        archive: &Archive,
        tenant: i64,
        resources: &[NamedResource],
        recipe: &Recipe,
    ) -> Result<Self, ArchiveError> {
        let index = archive.index();
        let mut found: Vec<InstanceUids> = Vec::new();
        for resource in resources {
            let (level, public_id) = resource.parse()?;
            let number = index.number(tenant, level, &public_id, level)?;
            let number = number.ok_or(ArchiveError::NotFound { level, public_id })?;
            found.extend(index.instances(level, &[number], None)?);
        }
        found.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
        found.dedup_by(|a, b| a.public_id == b.public_id);
        let made = Made::of(&found, recipe);
        found.retain(|instance| !made.has(instance));
        let scope = scope_of(&found)?;
        let instances = found.iter().map(|instance| instance.public_id);
        Ok(Sources {
            instances: instances.collect(),
            scope,
        })
    }
}

fn place(instance: &InstanceUids) -> (&str, &str, &str, PublicId) {
    (
        &instance.study_instance_uid,
        &instance.series_instance_uid,
        &instance.sop_instance_uid,
        instance.public_id,
    )
}

fn scope_of(instances: &[InstanceUids]) -> Result<Scope, EditError> {
    let mut scope = Scope::new();
    for instance in instances {
        scope.add(Level::Study, &instance.study_instance_uid)?;
        scope.add(Level::Series, &instance.series_instance_uid)?;
        scope.add(Level::Instance, &instance.sop_instance_uid)?;
    }
    Ok(scope)
}

/// The UIDs that a recipe gives.
struct Made {
    uids: HashSet<String>,
}

impl Made {
    fn of(instances: &[InstanceUids], recipe: &Recipe) -> Self {
        let mut uids = HashSet::new();
        for instance in instances {
            for (level, uid) in uids_of(instance) {
                uids.extend(recipe.new_uid(level, uid));
            }
        }
        Made { uids }
    }

    fn has(&self, instance: &InstanceUids) -> bool {
        uids_of(instance)
            .iter()
            .any(|(_, uid)| self.uids.contains(*uid))
    }
}

fn uids_of(instance: &InstanceUids) -> [(Level, &str); 3] {
    [
        (Level::Study, &instance.study_instance_uid),
        (Level::Series, &instance.series_instance_uid),
        (Level::Instance, &instance.sop_instance_uid),
    ]
}
