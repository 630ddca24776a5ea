//! What lists and single resources show.

use serde::Deserialize;
use vna_dicom::{Tag, TagsForm};
use vna_index::{Content, Shape};

use super::problem::{FindProblem, Wrong, shown};
use super::tag_named;

/// Tags that one request may ask for. There are some 5,000 in the standard; nobody shows all of them in a list.
const MAX_REQUESTED: usize = 1_000;

/// The parameters of routes that show resources.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListOptions {
    /// Whole objects rather than ids.
    pub expand: bool,
    /// Tags by number, with name and type.
    pub full: bool,
    /// Tags by number.
    pub short: bool,
    /// Tags to show in `RequestedTags`.
    pub requested_tags: Vec<String>,
    /// Parts of the objects, instead of the usual ones.
    pub response_content: Option<Vec<String>>,
}

impl ListOptions {
    /// What is shown; `None`: ids alone.
    pub(super) fn shape(&self) -> Result<Option<Shape>, FindProblem> {
        let content = match &self.response_content {
            Some(parts) => content(parts.iter().map(String::as_str))?,
            None => Content::WHOLE,
        };
        let requested = requested(self.requested_tags.iter().map(String::as_str));
        // In a body that is a kind of mistake of its own, here one of the parameter.
        let requested =
            requested.map_err(|problem| FindProblem::new(Wrong::Request, problem.text))?;
        if !self.expand && self.response_content.is_none() {
            return Ok(None);
        }
        Ok(Some(Shape {
            form: form(self.short, self.full),
            content,
            requested,
        }))
    }
}

/// Of both, clients get the short form.
pub(super) fn form(short: bool, full: bool) -> TagsForm {
    match (short, full) {
        (true, _) => TagsForm::Short,
        (false, true) => TagsForm::Full,
        (false, false) => TagsForm::Simplified,
    }
}

/// The tags of `RequestedTags`, each once.
pub(super) fn requested<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<Tag>, FindProblem> {
    let mut tags = Vec::new();
    for name in names {
        let tag = tag_named(name).ok_or_else(|| FindProblem::tag("RequestedTags", name))?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > MAX_REQUESTED {
            let text = format!("RequestedTags names more than {MAX_REQUESTED} tags");
            return Err(FindProblem::new(Wrong::Range, text));
        }
    }
    Ok(tags)
}

/// The parts of `ResponseContent`.
pub(super) fn content<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Content, FindProblem> {
    let mut content = Content::NONE;
    for part in parts {
        let wanted = match part {
            "MainDicomTags" => &mut content.main_tags,
            "Metadata" => &mut content.metadata,
            "Children" => &mut content.children,
            "Parent" => &mut content.parent,
            "Labels" => &mut content.labels,
            "Status" => &mut content.status,
            "IsStable" => &mut content.is_stable,
            "IsProtected" => &mut content.is_protected,
            "Attachments" => &mut content.attachments,
            other => {
                let text = format!(
                    "Unrecognized value for \"ResponseContent\": {}; it takes MainDicomTags, Metadata, Children, \
                     Parent, Labels, Status, IsStable, IsProtected, Attachments",
                    shown(other)
                );
                return Err(FindProblem::new(Wrong::Range, text));
            }
        };
        *wanted = true;
    }
    Ok(content)
}
