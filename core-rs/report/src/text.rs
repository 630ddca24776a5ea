//! A report as plain text.

use crate::content::{Item, Shown};
use crate::head::Report;
use crate::{Document, ReportError};

/// Further levels are as deep as this one: a line has to have a place.
const DEEPEST_INDENT: usize = 12;

/// Writes a report.
pub(crate) fn write(report: &Report) -> Result<String, ReportError> {
    let mut out = Document::new();
    heading(&mut out, &plain(&report.title), 0, '=')?;
    let width = report
        .head
        .iter()
        .map(|(what, _)| what.len())
        .max()
        .unwrap_or(0);
    for (what, value) in &report.head {
        let value = plain(value);
        out.push(&format!("{what:width$}  {value}\n"))?;
    }
    items(&mut out, &report.items, 0)?;
    Ok(out.text)
}

fn items(out: &mut Document, items: &[Item], level: usize) -> Result<(), ReportError> {
    let indent = "  ".repeat(level.min(DEEPEST_INDENT));
    let mut was_section = true;
    for item in items {
        let name = item.name.as_ref().map(|name| plain(&name.shown()));
        let is_section = item.value == Shown::Container;
        if (is_section || was_section) && !out.text.ends_with("\n\n") {
            out.push("\n")?;
        }
        was_section = is_section;
        if is_section {
            match name {
                Some(name) if level == 0 => heading(out, &name, level, '-')?,
                Some(name) => out.push(&format!("{indent}{name}\n"))?,
                None => {}
            }
            self::items(out, &item.items, level + 1)?;
            continue;
        }
        let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
        let value = value(&item.value).replace('\n', &format!("\n{indent}    "));
        out.push(&format!("{indent}{name}{value}\n"))?;
        if !item.items.is_empty() {
            lines(out, &item.items, level + 1)?;
        }
    }
    Ok(())
}

/// What is in an item that is no section follows it without an empty line.
fn lines(out: &mut Document, items: &[Item], level: usize) -> Result<(), ReportError> {
    let before = out.text.len();
    self::items(out, items, level)?;
    if out.text[before..].starts_with('\n') {
        out.text.remove(before);
    }
    Ok(())
}

fn heading(out: &mut Document, text: &str, level: usize, line: char) -> Result<(), ReportError> {
    let indent = "  ".repeat(level);
    let line: String = std::iter::repeat_n(line, text.chars().count()).collect();
    out.push(&format!("{indent}{text}\n{indent}{line}\n"))
}

fn value(value: &Shown) -> String {
    match value {
        Shown::Container => String::new(),
        Shown::Text(text) => plain(text),
        Shown::Code(code) => plain(&code.shown()),
        Shown::Reference(reference) => {
            let place = reference.url.as_ref().unwrap_or(&reference.uid);
            plain(&format!("{} {place}", reference.what))
        }
        Shown::Item(place) => plain(&format!("see item {place}")),
    }
}

fn plain(text: &str) -> String {
    readable(text).collect()
}

/// The characters of a text that a document can have (XML 1.0 §2.2) and that do nothing to who reads it on a terminal;
/// lines end as they do here.
pub(crate) fn readable(text: &str) -> impl Iterator<Item = char> + '_ {
    let mut was_return = false;
    text.chars().filter_map(move |letter| {
        let follows_return = std::mem::replace(&mut was_return, letter == '\r');
        match letter {
            '\n' if follows_return => None,
            '\r' | '\u{C}' => Some('\n'),
            '\n' | '\t' => Some(letter),
            '\u{FFFE}' | '\u{FFFF}' => None,
            letter => (!letter.is_control()).then_some(letter),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_they_do_here_and_control_characters_are_left_out() {
        assert_eq!(
            plain("a\r\nb\rc\n\nd\u{1b}[31m\0\u{85}e\tf"),
            "a\nb\nc\n\nd[31me\tf"
        );
    }
}
