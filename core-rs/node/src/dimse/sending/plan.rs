//! Which presentation contexts a batch needs, and on which association each instance goes.

use super::super::outgoing::keeps_everything;
use super::super::peer_spec::{ContextSpec, MAX_CONTEXTS};
use super::Item;
use super::progress::Record;
use crate::archive::Archive;
use crate::transcode::is_possible;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use vna_dicom::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, PublicId};

/// Instances that one association can carry, and its contexts.
#[derive(Debug)]
pub(super) struct Lot {
    pub contexts: Vec<ContextSpec>,
    pub items: VecDeque<Item>,
}

/// Looks all instances up and divides them among as few associations as their contexts allow. What is not there fails.
pub(super) fn plan(
    archive: &Archive,
    tenant: i64,
    ids: &[String],
    preferred: Option<&str>,
    record: &Record,
) -> Vec<Lot> {
    // (class, syntax) to its instances; there are few of those, however many instances there are.
    let mut kinds: BTreeMap<(String, String), Vec<PublicId>> = BTreeMap::new();
    for text in ids {
        let Ok(id) = text.parse::<PublicId>() else {
            record.failed(
                text.chars().take(64).collect(),
                String::new(),
                None,
                "it is not a public id",
            );
            continue;
        };
        match archive.index().locate(tenant, &id) {
            Ok(Some(located)) => kinds
                .entry((located.sop_class_uid, located.transfer_syntax_uid))
                .or_default()
                .push(id),
            Ok(None) => {
                record.failed(
                    id.to_string(),
                    String::new(),
                    None,
                    "no instance has the id",
                );
            }
            Err(error) => {
                record.failed(id.to_string(), String::new(), None, &error.to_string());
            }
        }
    }
    lots(kinds, preferred)
}

fn lots(kinds: BTreeMap<(String, String), Vec<PublicId>>, preferred: Option<&str>) -> Vec<Lot> {
    let mut lots: Vec<Lot> = Vec::new();
    let mut lot_of: HashMap<(String, String), usize> = HashMap::new();
    let mut classes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (class, syntax) in kinds.keys() {
        classes.entry(class).or_default().push(syntax);
    }
    for (class, syntaxes) in &classes {
        // Beside those stored there are the two or three that every peer may be asked for.
        for some in syntaxes.chunks(MAX_CONTEXTS - 3) {
            let contexts = contexts_of(class, some.iter().copied(), preferred);
            let fits = |lot: &Lot| lot.contexts.len() + contexts.len() <= MAX_CONTEXTS;
            let at = lots.iter().position(fits).unwrap_or_else(|| {
                lots.push(Lot {
                    contexts: Vec::new(),
                    items: VecDeque::new(),
                });
                lots.len() - 1
            });
            lots[at].contexts.extend(contexts);
            for syntax in some {
                lot_of.insert(((*class).to_owned(), (*syntax).to_owned()), at);
            }
        }
    }
    for (kind, ids) in kinds {
        if let Some(&at) = lot_of.get(&kind) {
            let items = ids.into_iter().map(|id| Item { id, losses: 0 });
            lots[at].items.extend(items);
        }
    }
    lots
}

/// The contexts for instances of one SOP class: one for each transfer syntax that they are stored in, so that the peer
/// answers each, one for the default transfer syntax (PS3.5 §10.1), and, unless no codec reads any of them, for those
/// that they can be brought into.
pub(super) fn contexts_of<'a>(
    sop_class_uid: &str,
    stored: impl Iterator<Item = &'a str>,
    preferred: Option<&'a str>,
) -> Vec<ContextSpec> {
    let mut syntaxes: BTreeSet<&str> = stored.collect();
    let readable = |uid: &&str| is_possible(uid, EXPLICIT_VR_LITTLE_ENDIAN);
    if syntaxes.iter().any(readable) {
        syntaxes.insert(EXPLICIT_VR_LITTLE_ENDIAN);
        syntaxes.extend(preferred.filter(|uid| keeps_everything(uid)));
    }
    syntaxes.insert(IMPLICIT_VR_LITTLE_ENDIAN);
    syntaxes
        .into_iter()
        .map(|uid| ContextSpec {
            sop_class_uid: sop_class_uid.to_owned(),
            transfer_syntaxes: vec![uid.to_owned()],
            scu: true,
            scp: false,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const J2K: &str = "1.2.840.10008.1.2.4.90";
    const VIDEO: &str = "1.2.840.10008.1.2.4.102";

    fn id(n: usize) -> PublicId {
        PublicId::patient(&n.to_string())
    }

    #[test]
    fn each_kind_has_its_own_context_and_each_class_the_default_one() {
        let kinds = BTreeMap::from([
            (("1.2".to_owned(), J2K.to_owned()), vec![id(1)]),
            (
                ("1.3".to_owned(), EXPLICIT_VR_LITTLE_ENDIAN.to_owned()),
                vec![id(2), id(3)],
            ),
            (("1.4".to_owned(), VIDEO.to_owned()), vec![id(4)]),
        ]);
        let lots = lots(kinds, Some(J2K));
        let [lot] = lots.as_slice() else {
            panic!("{lots:?}")
        };
        let proposed: Vec<_> = lot
            .contexts
            .iter()
            .map(|context| {
                (
                    context.sop_class_uid.as_str(),
                    context.transfer_syntaxes.join("+"),
                )
            })
            .collect();
        assert_eq!(
            proposed,
            [
                ("1.2", IMPLICIT_VR_LITTLE_ENDIAN.to_owned()),
                ("1.2", EXPLICIT_VR_LITTLE_ENDIAN.to_owned()),
                ("1.2", J2K.to_owned()),
                ("1.3", IMPLICIT_VR_LITTLE_ENDIAN.to_owned()),
                ("1.3", EXPLICIT_VR_LITTLE_ENDIAN.to_owned()),
                ("1.3", J2K.to_owned()),
                ("1.4", IMPLICIT_VR_LITTLE_ENDIAN.to_owned()),
                ("1.4", VIDEO.to_owned()),
            ],
            "no codec reads video"
        );
        assert_eq!(lot.items.len(), 4);
    }

    #[test]
    fn what_needs_more_contexts_than_one_association_has_takes_several() {
        let kinds: BTreeMap<_, _> = (0..200)
            .flat_map(|class| {
                [EXPLICIT_VR_LITTLE_ENDIAN, J2K].map(|syntax| {
                    let kind = (format!("1.2.{class}"), syntax.to_owned());
                    (kind, vec![id(class)])
                })
            })
            .collect();
        let lots = lots(kinds, None);
        assert_eq!(lots.len(), 5, "three contexts a class, 42 classes each");
        assert!(lots.iter().all(|lot| lot.contexts.len() <= MAX_CONTEXTS));
        assert_eq!(lots.iter().map(|lot| lot.items.len()).sum::<usize>(), 400);
        for lot in &lots {
            let classes: BTreeSet<_> = lot.contexts.iter().map(|c| &c.sop_class_uid).collect();
            assert_eq!(lot.items.len(), 2 * classes.len());
        }
    }
}
