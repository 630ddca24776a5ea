//! Reads the Native DICOM Model (PS3.19 Annex A.1).
//!
//! Document types are refused, so no entity means more than the five of XML itself, and nothing outside of the text is read.

use super::build::{Builder, Single, Values};
use super::problem::ModelProblem;
use super::xml::{COMPONENT_GROUPS, COMPONENTS};
use crate::base64;
use crate::{DataElement, DataSet, DicomError, Tag, Value, Vr};
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;
use std::collections::HashMap;

pub(crate) fn read(text: &[u8]) -> Result<DataSet, DicomError> {
    read_with(text, Builder::default())
}

pub(crate) fn read_with(text: &[u8], builder: Builder) -> Result<DataSet, DicomError> {
    let text = decoded(text)?;
    let mut reader = Reader::new(&text, builder);
    reader.root()?;
    let data_set = reader.data_set()?;
    reader.end()?;
    Ok(data_set)
}

/// The text in UTF-8; other encodings only if the declaration at its beginning names one.
fn decoded(text: &[u8]) -> Result<Cow<'_, str>, DicomError> {
    let utf8 = match declared_encoding(text) {
        Some(other) => return Ok(other.decode(text).0),
        None => std::str::from_utf8(text),
    };
    utf8.map(Cow::Borrowed)
        .map_err(|error| Builder::default().problem(ModelProblem::Utf8, error.valid_up_to()))
}

/// The encoding that `<?xml encoding="..."?>` names, if it is one of those that contain ASCII and no UTF-8.
fn declared_encoding(text: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let declaration = text.strip_prefix(b"<?xml")?;
    let end = declaration
        .iter()
        .take(256)
        .position(|byte| *byte == b'>')?;
    let declaration = std::str::from_utf8(&declaration[..end]).ok()?;
    let behind = declaration.split_once("encoding")?.1.trim_start();
    let label = behind.strip_prefix('=')?.split(['"', '\'']).nth(1)?;
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes())?;
    (encoding != encoding_rs::UTF_8 && encoding.is_ascii_compatible()).then_some(encoding)
}

struct Reader<'a> {
    xml: quick_xml::Reader<&'a [u8]>,
    builder: Builder,
}

/// The attributes of an XML element that mean something here.
#[derive(Default)]
struct Attributes<'a> {
    tag: Option<Cow<'a, str>>,
    vr: Option<Cow<'a, str>>,
    private_creator: Option<Cow<'a, str>>,
    number: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    uuid: Option<Cow<'a, str>>,
}

/// The values of an attribute.
enum Content {
    None,
    Values(Values),
    Items(Vec<DataSet>),
    Other(Value),
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, builder: Builder) -> Self {
        let mut xml = quick_xml::Reader::from_str(text);
        xml.config_mut().expand_empty_elements = true;
        Reader { xml, builder }
    }

    fn problem(&self, problem: ModelProblem) -> DicomError {
        self.builder.problem(problem, self.offset())
    }

    fn wanted<T>(&self, wanted: &'static str) -> Result<T, DicomError> {
        Err(self.problem(ModelProblem::Syntax { wanted }))
    }

    fn offset(&self) -> usize {
        usize::try_from(self.xml.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The next event that is of the document itself.
    fn event(&mut self) -> Result<Event<'a>, DicomError> {
        loop {
            match self.xml.read_event() {
                Ok(Event::Comment(_) | Event::PI(_) | Event::Decl(_)) => {}
                Ok(Event::DocType(_)) => return Err(self.problem(ModelProblem::Doctype)),
                Ok(event) => return Ok(event),
                Err(_) => return self.wanted("well-formed XML"),
            }
        }
    }

    /// The next element inside the one at hand; `None` at its end.
    fn child(&mut self) -> Result<Option<BytesStart<'a>>, DicomError> {
        loop {
            match self.event()? {
                Event::Start(start) => return Ok(Some(start)),
                Event::End(_) => return Ok(None),
                Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                _ => return self.wanted("an element"),
            }
        }
    }

    fn root(&mut self) -> Result<(), DicomError> {
        match self.child()? {
            Some(root) if is(&root, "NativeDicomModel") => Ok(()),
            _ => self.wanted("NativeDicomModel"),
        }
    }

    fn end(&mut self) -> Result<(), DicomError> {
        loop {
            match self.event()? {
                Event::Eof => return Ok(()),
                Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                _ => return self.wanted("the end"),
            }
        }
    }

    /// The text of the element at hand, up to its end.
    fn text(&mut self) -> Result<Cow<'a, str>, DicomError> {
        let mut text = Cow::Borrowed("");
        loop {
            let more = match self.event()? {
                Event::End(_) => return Ok(text),
                Event::Text(more) => more.xml10_content().ok(),
                Event::CData(more) => more.xml10_content().ok(),
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().ok().flatten();
                    match character {
                        Some(character) => Some(Cow::Owned(character.to_string())),
                        None => reference
                            .decode()
                            .ok()
                            .and_then(|name| resolve_xml_entity(&name))
                            .map(Cow::Borrowed),
                    }
                }
                _ => None,
            };
            match more {
                None => return self.wanted("text, without entities of its own"),
                Some(more) if text.is_empty() => text = more,
                Some(more) => text.to_mut().push_str(&more),
            }
        }
    }

    fn attributes(&self, start: &BytesStart<'a>) -> Result<Attributes<'a>, DicomError> {
        let mut found = Attributes::default();
        let mut attributes = start.attributes();
        // Whether one stands twice costs the square of their number to say, and changes nothing here.
        for attribute in attributes.with_checks(false) {
            let Ok(attribute) = attribute else {
                return self.wanted("well-formed XML");
            };
            let field = match attribute.key.local_name().into_inner() {
                b"tag" => &mut found.tag,
                b"vr" => &mut found.vr,
                b"privateCreator" => &mut found.private_creator,
                b"number" => &mut found.number,
                b"uri" => &mut found.uri,
                b"uuid" => &mut found.uuid,
                _ => continue,
            };
            match attribute.normalized_value(XmlVersion::Implicit1_0) {
                Ok(value) => *field = Some(Cow::Owned(value.into_owned())),
                Err(_) => return self.wanted("text, without entities of its own"),
            }
        }
        Ok(found)
    }

    /// Reads the attributes of a data set, up to the end of the element around them.
    fn data_set(&mut self) -> Result<DataSet, DicomError> {
        let mut elements = Vec::new();
        let mut by_creator = Vec::new();
        while let Some(start) = self.child()? {
            if !is(&start, "DicomAttribute") {
                return self.wanted("DicomAttribute");
            }
            let offset = self.offset();
            let attributes = self.attributes(&start)?;
            let text = attributes.tag.unwrap_or_default();
            let tag = self.builder.begin(&text, offset)?;
            let Some(vr) = attributes.vr else {
                return Err(self.problem(ModelProblem::NoVr));
            };
            let vr = self.builder.vr(&vr, offset)?;
            let value = self.value(vr)?;
            let element = DataElement { tag, vr, value };
            match attributes.private_creator.filter(|_| tag.is_private()) {
                None => self.builder.push(&mut elements, element, offset)?,
                Some(creator) => {
                    self.builder.count(size_of::<ByCreator>(), offset)?;
                    by_creator.push((element, creator.into_owned()));
                }
            }
        }
        let offset = self.offset();
        self.reserve(&mut elements, by_creator, offset)?;
        self.builder.data_set(elements, offset)
    }

    /// Gives elements that were named by their creator the block that it has reserved, or reserves one (PS3.5 §7.8.1).
    fn reserve(
        &mut self,
        elements: &mut Vec<DataElement>,
        by_creator: Vec<ByCreator>,
        offset: usize,
    ) -> Result<(), DicomError> {
        if by_creator.is_empty() {
            return Ok(());
        }
        let mut blocks = Blocks::of(elements);
        for (mut element, creator) in by_creator {
            let tag = element.tag;
            let named = tag.1 < 0x1000;
            let block = match blocks.find(tag, &creator, named) {
                Some(block) => block,
                None => {
                    let free = if named {
                        blocks.free(tag.0)
                    } else {
                        Some(tag.1 >> 8)
                    };
                    let Some(block) = free else {
                        return Err(self.builder.problem(ModelProblem::Block, offset));
                    };
                    let reserved = Tag(tag.0, block);
                    blocks.insert(reserved, creator.clone());
                    let creator = DataElement::new(reserved, Vr::LO, creator);
                    self.builder.push(elements, creator, offset)?;
                    block
                }
            };
            element.tag = Tag(tag.0, block << 8 | tag.1 & 0xFF);
            self.builder.push(elements, element, offset)?;
        }
        Ok(())
    }

    /// Reads the value of an attribute, up to the end of its element.
    fn value(&mut self, vr: Vr) -> Result<Value, DicomError> {
        let mut content = Content::None;
        while let Some(start) = self.child()? {
            let attributes = self.attributes(&start)?;
            content = match local_name(&start) {
                b"Value" if vr != Vr::SQ && vr != Vr::PN => {
                    self.single(vr, content, &attributes)?
                }
                b"PersonName" if vr == Vr::PN => self.person_name(vr, content, &attributes)?,
                b"Item" if vr == Vr::SQ => self.item(content, &attributes)?,
                b"InlineBinary" if vr != Vr::SQ && !vr.is_text() => {
                    self.alone(&content)?;
                    self.inline_binary()?
                }
                b"BulkData" if vr != Vr::SQ => {
                    self.alone(&content)?;
                    self.bulk_data(attributes)?
                }
                _ => return Err(self.problem(ModelProblem::Value { vr })),
            };
        }
        Ok(match content {
            Content::None if vr == Vr::SQ => Value::Items(Vec::new()),
            Content::None => Value::Bytes(Vec::new()),
            Content::Values(values) => values.into_value(),
            Content::Items(items) => Value::Items(items),
            Content::Other(value) => value,
        })
    }

    /// Whether nothing stands before a value that is the only one.
    fn alone(&self, content: &Content) -> Result<(), DicomError> {
        match content {
            Content::None => Ok(()),
            _ => Err(self.problem(ModelProblem::Members)),
        }
    }

    fn single(
        &mut self,
        vr: Vr,
        content: Content,
        attributes: &Attributes<'_>,
    ) -> Result<Content, DicomError> {
        let mut values = self.values(vr, content, attributes)?;
        let offset = self.offset();
        let text = self.text()?;
        let single = if text.is_empty() {
            Single::Empty
        } else {
            Single::Text(&text)
        };
        self.builder.add(&mut values, &single, offset)?;
        Ok(Content::Values(values))
    }

    fn person_name(
        &mut self,
        vr: Vr,
        content: Content,
        attributes: &Attributes<'_>,
    ) -> Result<Content, DicomError> {
        let mut values = self.values(vr, content, attributes)?;
        let offset = self.offset();
        let groups = self.name()?;
        let groups = [&*groups[0], &*groups[1], &*groups[2]];
        self.builder.add_name(&mut values, groups, offset)?;
        Ok(Content::Values(values))
    }

    fn item(
        &mut self,
        content: Content,
        attributes: &Attributes<'_>,
    ) -> Result<Content, DicomError> {
        let mut items = match content {
            Content::Items(items) => items,
            _ => Vec::new(), // a sequence has nothing else
        };
        if self.number(attributes, items.len())? > 0 {
            return Err(self.problem(ModelProblem::Number));
        }
        self.builder.enter(items.len(), self.offset())?;
        items.push(self.data_set()?);
        self.builder.leave();
        Ok(Content::Items(items))
    }

    fn inline_binary(&mut self) -> Result<Content, DicomError> {
        let text = self.text()?;
        match base64::decode(text.as_bytes()) {
            Some(bytes) => Ok(Content::Other(Value::Bytes(bytes))),
            None => Err(self.problem(ModelProblem::Base64)),
        }
    }

    fn bulk_data(&mut self, attributes: Attributes<'_>) -> Result<Content, DicomError> {
        let uri = match (attributes.uri, attributes.uuid) {
            (Some(uri), _) => uri.into_owned(),
            (None, Some(uuid)) => format!("urn:uuid:{uuid}"),
            (None, None) => return self.wanted("BulkData with uri or uuid"),
        };
        if !self.text()?.trim().is_empty() {
            return self.wanted("the end of BulkData");
        }
        Ok(Content::Other(Value::BulkDataUri(uri)))
    }

    /// The values so far, with empty ones for the numbers that were left out.
    fn values(
        &mut self,
        vr: Vr,
        content: Content,
        attributes: &Attributes<'_>,
    ) -> Result<Values, DicomError> {
        let mut values = match content {
            Content::None => Values::new(vr),
            Content::Values(values) => values,
            _ => return Err(self.problem(ModelProblem::Members)),
        };
        let offset = self.offset();
        for _ in 0..self.number(attributes, values.count())? {
            self.builder.count(1, offset)?;
            self.builder.add(&mut values, &Single::Empty, offset)?;
        }
        Ok(values)
    }

    /// How many numbers lie between that of this value or item and the last, which was number `last`.
    fn number(&self, attributes: &Attributes<'_>, last: usize) -> Result<usize, DicomError> {
        let Some(text) = &attributes.number else {
            return Ok(0);
        };
        let number = text.trim().parse().ok();
        number
            .and_then(|number: usize| number.checked_sub(last + 1))
            .ok_or_else(|| self.problem(ModelProblem::Number))
    }

    fn name(&mut self) -> Result<[String; 3], DicomError> {
        let mut groups = [const { String::new() }; 3];
        while let Some(start) = self.child()? {
            let Some(group) = position(&start, &COMPONENT_GROUPS) else {
                return Err(self.problem(ModelProblem::NameGroup));
            };
            groups[group] = self.components()?;
        }
        Ok(groups)
    }

    fn components(&mut self) -> Result<String, DicomError> {
        let mut components = [const { Cow::Borrowed("") }; 5];
        while let Some(start) = self.child()? {
            let Some(component) = position(&start, &COMPONENTS) else {
                return Err(self.problem(ModelProblem::NameGroup));
            };
            components[component] = self.text()?;
        }
        let name = components.join("^");
        Ok(name.trim_end_matches('^').to_owned())
    }
}

/// An element, and who has reserved its block.
type ByCreator = (DataElement, String);

/// The blocks of private elements that are reserved in a data set.
struct Blocks {
    by_tag: HashMap<Tag, String>,
    /// The first of each creator.
    by_creator: HashMap<(u16, String), u16>,
    /// From which block on one may be free, by group.
    free: HashMap<u16, u16>,
}

impl Blocks {
    fn of(elements: &[DataElement]) -> Self {
        let mut blocks = Blocks {
            by_tag: HashMap::new(),
            by_creator: HashMap::new(),
            free: HashMap::new(),
        };
        for element in elements
            .iter()
            .filter(|element| element.tag.is_private_creator())
        {
            if let Value::Bytes(name) = &element.value {
                blocks.insert(element.tag, String::from_utf8_lossy(name).into_owned());
            }
        }
        blocks
    }

    fn insert(&mut self, tag: Tag, creator: String) {
        let first = self
            .by_creator
            .entry((tag.0, creator.clone()))
            .or_insert(tag.1);
        *first = tag.1.min(*first);
        self.by_tag.insert(tag, creator);
    }

    /// The block of an element: that of its creator, or the one that its tag names.
    fn find(&self, tag: Tag, creator: &str, named: bool) -> Option<u16> {
        if named {
            return self.by_creator.get(&(tag.0, creator.to_owned())).copied();
        }
        let block = Tag(tag.0, tag.1 >> 8);
        self.by_tag.contains_key(&block).then_some(block.1)
    }

    fn free(&mut self, group: u16) -> Option<u16> {
        let from = *self.free.get(&group).unwrap_or(&0x10);
        let block = (from..=0xFF).find(|block| !self.by_tag.contains_key(&Tag(group, *block)))?;
        self.free.insert(group, block + 1);
        Some(block)
    }
}

fn local_name<'s>(start: &'s BytesStart<'_>) -> &'s [u8] {
    start.local_name().into_inner()
}

fn is(start: &BytesStart<'_>, name: &str) -> bool {
    local_name(start) == name.as_bytes()
}

fn position(start: &BytesStart<'_>, names: &[&str]) -> Option<usize> {
    names.iter().position(|name| is(start, name))
}
