//! The body of `POST /tools/find` and of `POST /tools/count-resources`.
//!
//! What is not understood is refused: a field that is misspelt and ignored would widen the answer.

use serde_json::{Map, Value};
use vna_dicom::{Level, PublicId};
use vna_index::{
    Case, Content, Key, LabelConstraint, LabelFilter, Order, OrderAs, OrderBy, Query, Shape,
    metadata_number,
};

use super::options::{content, form, requested};
use super::problem::{FindProblem, Wrong, shown};
use super::{level_named, tag_named};

/// Keys of a query: each is a column of the statement, of which SQLite takes 2,000.
const MAX_KEYS: usize = 256;

/// Criteria of an order; behind so many there are no ties.
const MAX_ORDERS: usize = 16;

/// Labels of a query: each is looked up.
const MAX_LABELS: usize = 1_000;

/// What a body is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Find,
    Count,
}

/// A search, as a client asks for it.
pub(super) struct Request {
    pub(super) query: Query,
    /// What to show of each resource; `None`: its id.
    pub(super) shape: Option<Shape>,
    /// A parent is asked for by what is no id, so nothing lies below it.
    pub(super) is_empty: bool,
}

type Object = Map<String, Value>;

impl Request {
    pub(super) fn parse(body: &[u8], tenant: i64, purpose: For) -> Result<Request, FindProblem> {
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            FindProblem::new(
                Wrong::Request,
                format!("The body must contain a JSON object: {error}"),
            )
        })?;
        let Value::Object(body) = body else {
            return Err(request("The body must contain a JSON object"));
        };
        let level = level(&body)?;
        let mut query = Query::all(tenant, level);
        let mut is_empty = false;
        let (mut expand, mut short, mut full) = (false, false, false);
        let (mut parts, mut tags) = (None, Vec::new());
        if !body.contains_key("Query") {
            return Err(request(
                "Field \"Query\" is missing, or should be a JSON object",
            ));
        }
        for (name, value) in &body {
            match name.as_str() {
                "Level" => {}
                "Query" => query.keys = keys(value)?,
                "Expand" => expand = flag(name, value)?,
                "Short" => short = flag(name, value)?,
                "Full" => full = flag(name, value)?,
                "CaseSensitive" => query.case = case(flag(name, value)?, purpose)?,
                "Since" => query.page.since = number(name, value)?,
                "Limit" => query.page.limit = number(name, value)?,
                "Labels" | "LabelsConstraint" => query.labels = labels(&body)?,
                "MetadataQuery" => query.metadata = metadata(value)?,
                "OrderBy" => query.order = order(value)?,
                "ParentPatient" => is_empty |= !parent(name, value, Level::Patient, &mut query)?,
                "ParentStudy" => is_empty |= !parent(name, value, Level::Study, &mut query)?,
                "ParentSeries" => is_empty |= !parent(name, value, Level::Series, &mut query)?,
                "RequestedTags" => tags = requested(texts(name, value)?.into_iter())?,
                "ResponseContent" => parts = Some(content(texts(name, value)?.into_iter())?),
                other => {
                    return Err(request(format!(
                        "there is no field {}; fields are Level, Query, Expand, Short, Full, CaseSensitive, Since, Limit, \
                         Labels, LabelsConstraint, MetadataQuery, OrderBy, ParentPatient, ParentStudy, ParentSeries, \
                         RequestedTags, ResponseContent",
                        shown(other)
                    )));
                }
            }
        }
        // Without the field, clients get what differs in case and accents too.
        if !body.contains_key("CaseSensitive") {
            query.case = Case::Ignored;
        }
        let shape = (expand || parts.is_some()).then(|| Shape {
            form: form(short, full),
            content: parts.unwrap_or(Content::WHOLE),
            requested: tags,
        });
        Ok(Request {
            query,
            shape,
            is_empty,
        })
    }
}

fn request(text: impl Into<String>) -> FindProblem {
    FindProblem::new(Wrong::Request, text)
}

fn range(text: impl Into<String>) -> FindProblem {
    FindProblem::new(Wrong::Range, text)
}

fn level(body: &Object) -> Result<Level, FindProblem> {
    let Some(Value::String(name)) = body.get("Level") else {
        return Err(request("Field \"Level\" is missing, or should be a string"));
    };
    level_named(name).ok_or_else(|| {
        range(format!(
            "Invalid resource type {}; Level takes Patient, Study, Series or Instance",
            shown(name)
        ))
    })
}

fn flag(name: &str, value: &Value) -> Result<bool, FindProblem> {
    value
        .as_bool()
        .ok_or_else(|| request(format!("Field \"{name}\" must be a Boolean")))
}

fn number(name: &str, value: &Value) -> Result<u64, FindProblem> {
    if let Some(number) = value.as_u64() {
        return Ok(number);
    }
    if value.as_i64().is_some() {
        return Err(range(format!(
            "Field \"{name}\" must be a positive integer"
        )));
    }
    Err(request(format!("Field \"{name}\" must be an integer")))
}

fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str, FindProblem> {
    value
        .as_str()
        .ok_or_else(|| request(format!("Field \"{name}\" must be a string")))
}

fn texts<'a>(name: &str, value: &'a Value) -> Result<Vec<&'a str>, FindProblem> {
    let Value::Array(all) = value else {
        return Err(request(format!("Field \"{name}\" must be an array")));
    };
    all.iter()
        .map(|one| {
            one.as_str()
                .ok_or_else(|| request(format!("Field \"{name}\" must contain strings")))
        })
        .collect()
}

fn object<'a>(name: &str, value: &'a Value) -> Result<&'a Object, FindProblem> {
    let Value::Object(object) = value else {
        return Err(request(format!("Field \"{name}\" should be a JSON object")));
    };
    if object.len() > MAX_KEYS {
        return Err(range(format!(
            "Field \"{name}\" has {} keys; it takes {MAX_KEYS}",
            object.len()
        )));
    }
    Ok(object)
}

fn value_of<'a>(name: &str, value: &'a Value) -> Result<&'a str, FindProblem> {
    value.as_str().ok_or_else(|| {
        request(format!(
            "Tag {} must be associated with a string",
            shown(name)
        ))
    })
}

fn keys(value: &Value) -> Result<Vec<Key>, FindProblem> {
    let keys = object("Query", value)?.iter().map(|(name, value)| {
        Ok(Key {
            tag: tag_named(name).ok_or_else(|| FindProblem::tag("Query", name))?,
            value: value_of(name, value)?.to_owned(),
        })
    });
    keys.collect()
}

fn metadata_named(field: &str, name: &str) -> Result<i64, FindProblem> {
    metadata_number(name).ok_or_else(|| {
        FindProblem::new(
            Wrong::Metadata,
            format!("{field}: there is no metadata type {}", shown(name)),
        )
    })
}

fn metadata(value: &Value) -> Result<Vec<(i64, String)>, FindProblem> {
    let conditions = object("MetadataQuery", value)?.iter().map(|(name, value)| {
        let number = metadata_named("MetadataQuery", name)?;
        Ok((number, value_of(name, value)?.to_owned()))
    });
    conditions.collect()
}

fn case(sensitive: bool, purpose: For) -> Result<Case, FindProblem> {
    match (sensitive, purpose) {
        (true, For::Count) => Err(range(
            "Setting \"CaseSensitive\" to \"true\" is not supported by /tools/count-resources",
        )),
        (true, For::Find) => Ok(Case::Exact),
        (false, _) => Ok(Case::Ignored),
    }
}

fn labels(body: &Object) -> Result<Option<LabelFilter>, FindProblem> {
    let constraint = match body.get("LabelsConstraint") {
        None => LabelConstraint::All,
        Some(value) => match value.as_str() {
            Some("All") => LabelConstraint::All,
            Some("Any") => LabelConstraint::Any,
            Some("None") => LabelConstraint::None,
            _ => {
                return Err(request(
                    "Field \"LabelsConstraint\" must be \"All\", \"Any\", or \"None\"",
                ));
            }
        },
    };
    let Some(labels) = body.get("Labels") else {
        return Ok(None);
    };
    let labels = match labels {
        Value::Array(_) => texts("Labels", labels)?,
        _ => {
            return Err(request("Field \"Labels\" must be an array of strings"));
        }
    };
    if labels.len() > MAX_LABELS {
        return Err(range(format!(
            "Field \"Labels\" names {} labels; it takes {MAX_LABELS}",
            labels.len()
        )));
    }
    Ok(Some(LabelFilter {
        labels: labels.into_iter().map(str::to_owned).collect(),
        constraint,
    }))
}

fn parent(name: &str, value: &Value, level: Level, query: &mut Query) -> Result<bool, FindProblem> {
    let Ok(id) = text(name, value)?.parse::<PublicId>() else {
        return Ok(false);
    };
    query.parents.push((level, id));
    Ok(true)
}

fn order(value: &Value) -> Result<Vec<Order>, FindProblem> {
    let Value::Array(all) = value else {
        return Err(request("Field \"OrderBy\" must be an array"));
    };
    if all.len() > MAX_ORDERS {
        return Err(range(format!(
            "Field \"OrderBy\" has {} criteria; it takes {MAX_ORDERS}",
            all.len()
        )));
    }
    all.iter().map(criterion).collect()
}

fn criterion(value: &Value) -> Result<Order, FindProblem> {
    let Value::Object(criterion) = value else {
        return Err(request("Field \"OrderBy\" must contain objects"));
    };
    let mut fields = criterion.keys();
    if let Some(other) = fields.find(|name| !matches!(name.as_str(), "Type" | "Key" | "Direction"))
    {
        return Err(request(format!(
            "Field \"OrderBy\" has no member {}; members are Type, Key, Direction",
            shown(other)
        )));
    }
    let member = |name: &str| criterion.get(name).and_then(Value::as_str);
    let descending = match member("Direction") {
        Some("ASC") => false,
        Some("DESC") => true,
        _ => return Err(request("Field \"Direction\" must be \"ASC\" or \"DESC\"")),
    };
    let Some(key) = member("Key") else {
        return Err(request("Field \"Key\" must be a string"));
    };
    let kind = member("Type").unwrap_or_default();
    let (of, compare_as) = match kind {
        "DicomTag" | "Metadata" => (kind, OrderAs::Text),
        "DicomTagAsInt" | "MetadataAsInt" => (&kind[..kind.len() - 5], OrderAs::Int),
        "DicomTagAsFloat" | "MetadataAsFloat" => (&kind[..kind.len() - 7], OrderAs::Float),
        _ => {
            return Err(request(
                "Field \"Type\" must be \"DicomTag\", \"DicomTagAsInt\", \"DicomTagAsFloat\" or \"Metadata\", \
                 \"MetadataAsInt\", \"MetadataAsFloat\"",
            ));
        }
    };
    let by = if of == "Metadata" {
        OrderBy::Metadata(metadata_named("OrderBy", key)?)
    } else {
        OrderBy::Tag(tag_named(key).ok_or_else(|| FindProblem::tag("OrderBy", key))?)
    };
    Ok(Order {
        by,
        compare_as,
        descending,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vna_dicom::Tag;

    fn parse(body: &str) -> Result<Request, FindProblem> {
        Request::parse(body.as_bytes(), 1, For::Find)
    }

    #[test]
    fn every_field_is_read() {
        let id = "b9c08539-26f93bde-c81ab0d7-bffaf2cb-a4d0bdd0";
        let request = parse(&format!(
            r#"{{"Level": "Series", "Query": {{"PatientName": "doe*", "0008,0060": "CT"}}, "Expand": true, "Full": true,
                "CaseSensitive": true, "Since": 3, "Limit": 7, "Labels": ["a"], "LabelsConstraint": "Any",
                "MetadataQuery": {{"RemoteAET": "CT*"}}, "ParentStudy": "{id}", "RequestedTags": ["PatientAge"],
                "OrderBy": [{{"Type": "DicomTagAsInt", "Key": "SeriesNumber", "Direction": "DESC"}},
                            {{"Type": "MetadataAsFloat", "Key": "1", "Direction": "ASC"}}]}}"#
        ))
        .expect("is a request");
        let query = request.query;
        assert_eq!(query.level, Level::Series);
        assert_eq!(query.keys.len(), 2);
        assert_eq!((query.page.since, query.page.limit), (3, 7));
        assert_eq!(query.case, Case::Exact);
        assert_eq!(query.metadata, [(3, "CT*".to_owned())]);
        assert_eq!(
            query.labels.expect("labels").constraint,
            LabelConstraint::Any
        );
        assert_eq!(query.parents.len(), 1);
        assert_eq!(query.order[0].by, OrderBy::Tag(Tag(0x0020, 0x0011)));
        assert_eq!(query.order[0].compare_as, OrderAs::Int);
        assert_eq!(query.order[1].by, OrderBy::Metadata(1));
        let shape = request.shape.expect("objects");
        assert_eq!(shape.requested, [Tag(0x0010, 0x1010)]);
        assert_eq!(shape.content, Content::WHOLE);
    }

    #[test]
    fn the_least_is_a_level_and_a_query_and_gives_ids_whatever_the_case() {
        let request = parse(r#"{"Level": "Study", "Query": {}}"#).expect("is a request");
        assert_eq!(request.shape, None);
        assert_eq!(request.query.case, Case::Ignored);
        let request = parse(r#"{"Level": "Study", "Query": {}, "ResponseContent": []}"#);
        assert_eq!(
            request
                .expect("is a request")
                .shape
                .map(|shape| shape.content),
            Some(Content::NONE)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_kind() {
        for (body, wrong, named) in [
            ("", Wrong::Request, "JSON object"),
            ("[]", Wrong::Request, "JSON object"),
            ("{", Wrong::Request, "JSON object"),
            (r#"{"Query": {}}"#, Wrong::Request, "Level"),
            (r#"{"Level": "Study"}"#, Wrong::Request, "Query"),
            (r#"{"Level": "Foo", "Query": {}}"#, Wrong::Range, "Foo"),
            (
                r#"{"Level": "Study", "Query": []}"#,
                Wrong::Request,
                "Query",
            ),
            (
                r#"{"Level": "Study", "Query": {"Foo": ""}}"#,
                Wrong::Tag,
                "Foo",
            ),
            (
                r#"{"Level": "Study", "Query": {"PatientName": 3}}"#,
                Wrong::Request,
                "PatientName",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "Lables": []}"#,
                Wrong::Request,
                "Lables",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "Limit": -1}"#,
                Wrong::Range,
                "Limit",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "Limit": 1.5}"#,
                Wrong::Request,
                "Limit",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "Expand": "true"}"#,
                Wrong::Request,
                "Expand",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "Labels": "a"}"#,
                Wrong::Request,
                "Labels",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "LabelsConstraint": "any"}"#,
                Wrong::Request,
                "All",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "MetadataQuery": {"Foo": ""}}"#,
                Wrong::Metadata,
                "Foo",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "OrderBy": [{"Type": "DicomTag", "Key": "StudyDate"}]}"#,
                Wrong::Request,
                "Direction",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "OrderBy": [{"Type": "X", "Key": "StudyDate", "Direction": "ASC"}]}"#,
                Wrong::Request,
                "Type",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "RequestedTags": ["Foo"]}"#,
                Wrong::Tag,
                "Foo",
            ),
            (
                r#"{"Level": "Study", "Query": {}, "ResponseContent": ["Foo"]}"#,
                Wrong::Range,
                "Foo",
            ),
        ] {
            let Err(problem) = parse(body) else {
                panic!("{body} is taken")
            };
            assert_eq!(problem.wrong, wrong, "{body}");
            assert!(problem.text.contains(named), "{body}: {problem}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&format!(r#"{{"Level": {deep}"#)).is_err());
    }

    #[test]
    fn counting_refuses_what_it_cannot_say() {
        let body = br#"{"Level": "Study", "Query": {}, "CaseSensitive": true}"#;
        let problem = Request::parse(body, 1, For::Count)
            .err()
            .expect("is refused");
        assert_eq!(problem.wrong, Wrong::Range);
    }

    #[test]
    fn a_parent_that_is_no_id_leaves_nothing() {
        let body = r#"{"Level": "Study", "Query": {}, "ParentPatient": "foo"}"#;
        assert!(parse(body).expect("is a request").is_empty);
    }
}
