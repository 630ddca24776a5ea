//! What can be asked of the index: one form for C-FIND, QIDO-RS, REST and gRPC.

use std::time::Instant;
use vna_dicom::{Level, PublicId, Tag};

/// A query of resources at one level.
///
/// An answer is a page of resources in a total order: the asked one, ties in the order of arrival.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// Whose archive.
    pub tenant: i64,
    /// What to find.
    pub level: Level,
    /// All of these must match (PS3.4 §C.2.2.2).
    pub keys: Vec<Key>,
    /// The resource lies below one of these, for each level that is named; empty: anywhere.
    pub parents: Vec<(Level, PublicId)>,
    /// Conditions on labels.
    pub labels: Option<LabelFilter>,
    /// A view: only studies that have this label, what is in them, and patients that have such a study.
    pub study_label: Option<String>,
    /// Conditions on metadata: number of the type, and what the value must match, as in a key.
    pub metadata: Vec<(i64, String)>,
    /// First what comes first; empty: the order in which the index has them, the same for each page.
    pub order: Vec<Order>,
    /// Which part of the answer.
    pub page: crate::Page,
    /// How texts are compared.
    pub case: Case,
    /// What to tell of each resource.
    pub wanted: Wanted,
    /// When to give up.
    pub until: Option<Instant>,
}

impl Query {
    /// All resources of a level.
    #[must_use]
    pub fn all(tenant: i64, level: Level) -> Query {
        Query {
            tenant,
            level,
            keys: Vec::new(),
            parents: Vec::new(),
            labels: None,
            study_label: None,
            metadata: Vec::new(),
            order: Vec::new(),
            page: crate::Page::default(),
            case: Case::default(),
            wanted: Wanted::default(),
            until: None,
        }
    }

    /// Adds a matching key.
    #[must_use]
    pub fn key(mut self, tag: Tag, value: &str) -> Query {
        self.keys.push(Key {
            tag,
            value: value.to_owned(),
        });
        self
    }

    /// Takes part of the answer.
    #[must_use]
    pub fn page(mut self, since: u64, limit: u64) -> Query {
        self.page = crate::Page { since, limit };
        self
    }
}

/// What case and accents mean when texts are compared. UIDs are compared exactly in any case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Case {
    /// Names of persons are compared without them, all else with them (PS3.4 §C.2.2.2.1).
    #[default]
    Standard,
    /// All texts are compared without them.
    Ignored,
    /// All texts are compared with them.
    Exact,
    /// As [`Case::Standard`], and names of persons that are but similar match too: each word of the key begins a word
    /// of the name, or sounds like it, in any order (fuzzy semantic matching, PS3.4 §C.2.2.2.1.1).
    Fuzzy,
}

/// A matching key: a tag, and the value as C-FIND writes it (`*`, `?`, `\` for lists, `-` for ranges).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// The element.
    pub tag: Tag,
    /// What it must match; empty: anything.
    pub value: String,
}

/// How many of the labels a resource must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LabelConstraint {
    /// All of them.
    All,
    /// At least one.
    Any,
    /// None of them; with an empty list: no label at all.
    None,
}

/// A condition on labels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelFilter {
    /// The labels.
    pub labels: Vec<String>,
    /// What of them.
    pub constraint: LabelConstraint,
}

/// What to order by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OrderBy {
    /// A tag of this level or one above.
    Tag(Tag),
    /// A metadata type.
    Metadata(i64),
    /// Time of the last arrival below the resource.
    LastUpdate,
}

/// How values are compared for the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OrderAs {
    /// As text, without case and accents.
    #[default]
    Text,
    /// As whole numbers.
    Int,
    /// As decimal numbers.
    Float,
}

/// One criterion of the order. Resources without the value come last, in both directions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// By what.
    pub by: OrderBy,
    /// How compared.
    pub compare_as: OrderAs,
    /// Greatest first.
    pub descending: bool,
}

/// What to tell of each resource, beside its ids and the main tags of its level and those above.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Numbers of related resources.
    pub counts: bool,
    /// Modalities and SOP classes in the study.
    pub classes: bool,
    /// Labels.
    pub labels: bool,
}

/// A resource that matches.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Match {
    /// Public ids from the patient down to the level of the query.
    pub ids: Vec<PublicId>,
    /// Main tags of the level and of all above it, sorted by tag.
    ///
    /// At study level and below, those of the patient are as they arrived with the study.
    pub tags: Vec<(Tag, String)>,
    /// Studies below it (patient), if [`Wanted::counts`].
    pub studies: Option<u64>,
    /// Series below it (patient, study).
    pub series: Option<u64>,
    /// Instances below it (patient, study, series).
    pub instances: Option<u64>,
    /// Modalities below it, sorted, if [`Wanted::classes`] (study).
    pub modalities: Vec<String>,
    /// SOP classes below it, sorted, if [`Wanted::classes`] (study, series).
    pub sop_classes: Vec<String>,
    /// Its labels, sorted, if [`Wanted::labels`].
    pub labels: Vec<String>,
}

/// A page of an answer.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answer {
    /// The resources.
    pub matches: Vec<Match>,
    /// There may be more behind them.
    pub more: bool,
    /// What must still be compared with stored headers: while there is any, `matches` is a superset of the answer, and
    /// not cut to a page.
    pub headers: HeaderKeys,
}

/// The resources that match, by their numbers in the index, which are never used twice.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Found {
    /// The resources, in order.
    pub resources: Vec<i64>,
    /// There may be more behind them.
    pub more: bool,
    /// As in [`Answer`].
    pub headers: HeaderKeys,
}

/// Keys whose values the index does not keep: they are compared with headers of stored instances.
///
/// A resource has the values of the first instance that arrived of it, as the index has it for its own tags. Of a key
/// whose attribute belongs to a level below that of the query, any resource of that level below counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HeaderKeys {
    /// Keys that the first instance of the resource must match.
    pub own: Vec<Key>,
    /// Keys of levels below, and the lowest of these levels: one resource of it must match all of them.
    pub below: Option<(Level, Vec<Key>)>,
}

impl HeaderKeys {
    /// Whether the index has compared all keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.below.is_none()
    }
}
