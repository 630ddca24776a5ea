//! What can be asked of the index: one form for C-FIND, QIDO-RS, REST and gRPC.

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
    /// Conditions on metadata: number of the type and a pattern with `*` and `?`.
    pub metadata: Vec<(i64, String)>,
    /// First what comes first; empty: the order in which the index has them, the same for each page.
    pub order: Vec<Order>,
    /// Which part of the answer.
    pub page: crate::Page,
    /// Names of persons are compared with case and accents.
    pub case_sensitive_pn: bool,
    /// What to tell of each resource.
    pub wanted: Wanted,
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
            metadata: Vec::new(),
            order: Vec::new(),
            page: crate::Page::default(),
            case_sensitive_pn: false,
            wanted: Wanted::default(),
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
    /// As text.
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
    /// Keys that the index has no value of: the caller must check each match against stored headers.
    ///
    /// While this is not empty, `matches` is a superset of the answer.
    pub needs_headers: Vec<Key>,
}
