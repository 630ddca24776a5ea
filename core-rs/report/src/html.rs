//! A report as HTML, or as the same document in XML.

use std::fmt::Write as _;

use crate::content::{Item, Shown};
use crate::head::Report;
use crate::{Document, ReportError};

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
h1{font-size:1.6rem;margin:0 0 1rem}h2,h3,h4,h5,h6{font-size:1.1rem;margin:1.2rem 0 .3rem}\
h2{font-size:1.3rem;border-bottom:1px solid #ccc}\
table{border-collapse:collapse;margin-bottom:1.5rem}\
th{text-align:left;font-weight:normal;color:#666;padding:.1rem 1.5rem .1rem 0;vertical-align:top}td{padding:.1rem 0}\
ul{margin:.2rem 0;padding-left:1.2rem;list-style:none}main>ul{padding-left:0}li{margin:.15rem 0}\
b{font-weight:600}.text{white-space:pre-wrap}.remark{color:#666;font-size:.9rem}.remark b{font-weight:normal}\
:target{background:#fff3c4}\
@media print{body{margin:0;max-width:none}a{color:inherit;text-decoration:none}}";

/// Writes a report; `as_xml`: with a declaration, for programs that read XML.
pub(crate) fn write(report: &Report, as_xml: bool) -> Result<String, ReportError> {
    let mut out = Document::new();
    if as_xml {
        out.push("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
    }
    let title = escaped(&report.title);
    out.push(&format!(
        "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n"
    ))?;
    if !report.head.is_empty() {
        out.push("<table>\n")?;
        for (what, value) in &report.head {
            let value = escaped(value);
            out.push(&format!(
                "<tr><th scope=\"row\">{what}</th><td>{value}</td></tr>\n"
            ))?;
        }
        out.push("</table>\n")?;
    }
    out.push("</header>\n<main>\n")?;
    items(&mut out, &report.items, 2)?;
    out.push("</main>\n</body>\n</html>\n")?;
    Ok(out.text)
}

/// Items one after the other: containers are sections, what is between them are lists.
fn items(out: &mut Document, items: &[Item], level: usize) -> Result<(), ReportError> {
    let mut is_in_list = false;
    for item in items {
        let is_section = item.value == Shown::Container;
        if is_section == is_in_list {
            out.push(if is_section { "</ul>\n" } else { "<ul>\n" })?;
            is_in_list = !is_section;
        }
        if is_section {
            section(out, item, level)?;
        } else {
            entry(out, item, level)?;
        }
    }
    if is_in_list {
        out.push("</ul>\n")?;
    }
    Ok(())
}

fn section(out: &mut Document, item: &Item, level: usize) -> Result<(), ReportError> {
    out.push(&format!("<section id=\"item-{}\">\n", item.place))?;
    if let Some(name) = &item.name {
        let (shown, told) = (escaped(&name.shown()), escaped(&name.told()));
        let level = level.min(6);
        out.push(&format!("<h{level} title=\"{told}\">{shown}</h{level}>\n"))?;
    }
    items(out, &item.items, level + 1)?;
    out.push("</section>\n")
}

fn entry(out: &mut Document, item: &Item, level: usize) -> Result<(), ReportError> {
    let class = if item.is_remark {
        " class=\"remark\""
    } else {
        ""
    };
    let mut line = format!("<li id=\"item-{}\"{class}>", item.place);
    if let Some(name) = &item.name {
        let (shown, told) = (escaped(&name.shown()), escaped(&name.told()));
        let _ = write!(line, "<b title=\"{told}\">{shown}:</b> ");
    }
    line += &value(&item.value);
    out.push(&line)?;
    if !item.items.is_empty() {
        out.push("\n")?;
        items(out, &item.items, level)?;
    }
    out.push("</li>\n")
}

fn value(value: &Shown) -> String {
    match value {
        Shown::Container => String::new(),
        Shown::Text(text) => format!("<span class=\"text\">{}</span>", escaped(text)),
        Shown::Code(code) => {
            let (shown, told) = (escaped(&code.shown()), escaped(&code.told()));
            format!("<span title=\"{told}\">{shown}</span>")
        }
        Shown::Reference(reference) => {
            let (what, uid) = (escaped(&reference.what), escaped(&reference.uid));
            match &reference.url {
                Some(url) => {
                    let url = escaped(url);
                    format!("<a href=\"{url}\" title=\"{uid}\" rel=\"noreferrer\">{what}</a>")
                }
                None => format!("{what} {uid}"),
            }
        }
        Shown::Item(place) => {
            let place = escaped(place);
            format!("<a href=\"#item-{place}\">see item {place}</a>")
        }
    }
}

/// Text as both HTML and XML read it, in an element or a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for letter in crate::text::readable(text) {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}
