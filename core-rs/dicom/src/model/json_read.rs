//! Reads the DICOM JSON Model (PS3.18 Annex F).
//!
//! One pass, and nothing built but the data set: a value goes to bytes as soon as it is read. Only where `Value` stands
//! before `vr`, which hardly a writer does, its values wait for it.

use super::build::{Builder, Single, Values};
use super::lexer::{Lexer, Unexpected};
use super::problem::ModelProblem;
use crate::base64;
use crate::{DataElement, DataSet, DicomError, Value, Vr};
use std::borrow::Cow;
use std::ops::Range;

pub(crate) fn read(text: &[u8]) -> Result<DataSet, DicomError> {
    read_with(text, Builder::default())
}

pub(crate) fn read_with(text: &[u8], builder: Builder) -> Result<DataSet, DicomError> {
    let mut reader = Reader::new(text, builder)?;
    let data_set = reader.outermost()?;
    reader.end()?;
    Ok(data_set)
}

pub(crate) fn read_list(text: &[u8]) -> Result<Vec<DataSet>, DicomError> {
    let mut reader = Reader::new(text, Builder::default())?;
    let mut list = Vec::new();
    if reader.lexer.peek() == Some(b'[') {
        let mut more = reader.lex(|lexer| lexer.open(b'[', b']', "'['"))?;
        while more {
            reader
                .builder
                .count(size_of::<DataSet>(), reader.lexer.offset())?;
            list.push(reader.outermost()?);
            more = reader.lex(|lexer| lexer.more(b']'))?;
        }
    } else {
        list.push(reader.outermost()?);
    }
    reader.end()?;
    Ok(list)
}

/// Where each object of an array is.
pub(crate) fn extents(text: &[u8]) -> Result<Vec<Range<usize>>, DicomError> {
    let mut extents = Vec::new();
    let (mut depth, mut begin, mut in_string, mut escaped) = (0_usize, 0, false, false);
    let mut has_array = false;
    for (at, byte) in text.iter().copied().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' if depth == 0 && !has_array && extents.is_empty() => has_array = true,
            b'{' => {
                if depth == 0 {
                    begin = at;
                }
                depth += 1;
            }
            b'}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    extents.push(begin..at + 1);
                }
            }
            _ if depth > 0 || matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => {}
            b',' | b']' if has_array => {}
            _ => return Err(not_an_array(at)),
        }
    }
    if depth > 0 || in_string || (extents.is_empty() && !has_array) {
        return Err(not_an_array(text.len()));
    }
    Ok(extents)
}

fn not_an_array(offset: usize) -> DicomError {
    let wanted = "an array of data sets";
    Builder::default().problem(ModelProblem::Syntax { wanted }, offset)
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    builder: Builder,
}

/// One of the values of an attribute, before its VR is looked at.
enum Raw<'a> {
    Null,
    Text(Cow<'a, str>),
    Number(&'a str),
    Name([Cow<'a, str>; 3]),
    /// `{}`: an empty item, or a name without groups.
    Nothing,
    Item(DataSet),
}

/// The values of an attribute.
enum Content<'a> {
    /// In the order of the text, their VR not known yet.
    Waiting(Vec<(Raw<'a>, usize)>),
    Values(Values),
    Items(Vec<DataSet>),
    Binary(Vec<u8>),
    BulkDataUri(String),
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], builder: Builder) -> Result<Self, DicomError> {
        let text = std::str::from_utf8(text)
            .map_err(|error| builder.problem(ModelProblem::Utf8, error.valid_up_to()))?;
        Ok(Reader {
            lexer: Lexer::new(text),
            builder,
        })
    }

    fn lex<T>(
        &mut self,
        take: impl FnOnce(&mut Lexer<'a>) -> Result<T, Unexpected>,
    ) -> Result<T, DicomError> {
        take(&mut self.lexer).map_err(|unexpected| self.unexpected(unexpected))
    }

    fn unexpected(&self, Unexpected { wanted, offset }: Unexpected) -> DicomError {
        self.builder
            .problem(ModelProblem::Syntax { wanted }, offset)
    }

    fn end(&mut self) -> Result<(), DicomError> {
        self.lex(Lexer::end)
    }

    fn outermost(&mut self) -> Result<DataSet, DicomError> {
        self.builder.begin_data_set();
        let more = self.lex(|lexer| lexer.open(b'{', b'}', "the '{' of a data set"))?;
        let name = more.then(|| self.lex(Lexer::name)).transpose()?;
        self.data_set(name)
    }

    /// Reads on behind the name of the first attribute.
    fn data_set(&mut self, first: Option<Cow<'a, str>>) -> Result<DataSet, DicomError> {
        let mut elements = Vec::new();
        let mut next = first;
        while let Some(name) = next {
            let offset = self.lexer.offset();
            let tag = self.builder.begin(&name, offset)?;
            let (vr, value) = self.attribute()?;
            self.builder
                .push(&mut elements, DataElement { tag, vr, value }, offset)?;
            let more = self.lex(|lexer| lexer.more(b'}'))?;
            next = more.then(|| self.lex(Lexer::name)).transpose()?;
        }
        let offset = self.lexer.offset();
        self.builder.data_set(elements, offset)
    }

    fn attribute(&mut self) -> Result<(Vr, Value), DicomError> {
        let begin = self.lexer.offset();
        let (mut vr, mut content) = (None, None);
        let mut more = self.lex(|lexer| lexer.open(b'{', b'}', "the '{' of an attribute"))?;
        while more {
            let offset = self.lexer.offset();
            let name = self.lex(Lexer::name)?;
            let found = match &*name {
                "vr" if vr.is_none() => {
                    let text = self.lex(|lexer| lexer.string("a VR in quotes"))?;
                    vr = Some(self.builder.vr(&text, offset)?);
                    None
                }
                "Value" => Some(self.values(vr)?),
                "InlineBinary" => Some(self.inline_binary()?),
                "BulkDataURI" => {
                    let uri = self.lex(|lexer| lexer.string("a URI in quotes"))?;
                    Some(Content::BulkDataUri(uri.into_owned()))
                }
                "vr" => return Err(self.builder.problem(ModelProblem::Members, offset)),
                _ => {
                    self.lex(Lexer::skip)?; // not of the standard, and known to its writer alone
                    None
                }
            };
            if found.is_some() && content.is_some() {
                return Err(self.builder.problem(ModelProblem::Members, offset));
            }
            content = content.or(found);
            more = self.lex(|lexer| lexer.more(b'}'))?;
        }
        let Some(vr) = vr else {
            return Err(self.builder.problem(ModelProblem::NoVr, begin));
        };
        let value = self.value(vr, content, begin)?;
        Ok((vr, value))
    }

    fn inline_binary(&mut self) -> Result<Content<'a>, DicomError> {
        let offset = self.lexer.offset();
        let text = self.lex(|lexer| lexer.string("Base64 in quotes"))?;
        match base64::decode(text.as_bytes()) {
            Some(bytes) => Ok(Content::Binary(bytes)),
            None => Err(self.builder.problem(ModelProblem::Base64, offset)),
        }
    }

    /// Reads the array of values.
    fn values(&mut self, vr: Option<Vr>) -> Result<Content<'a>, DicomError> {
        let mut content = match vr {
            Some(Vr::SQ) => Content::Items(Vec::new()),
            Some(vr) => Content::Values(Values::new(vr)),
            None => Content::Waiting(Vec::new()),
        };
        if self.lex(Lexer::null)? {
            return Ok(content);
        }
        let mut index = 0;
        let mut more = self.lex(|lexer| lexer.open(b'[', b']', "the '[' of values"))?;
        while more {
            let offset = self.lexer.offset();
            let raw = self.raw(index)?;
            self.take(&mut content, raw, offset)?;
            index += 1;
            more = self.lex(|lexer| lexer.more(b']'))?;
        }
        Ok(content)
    }

    fn raw(&mut self, index: usize) -> Result<Raw<'a>, DicomError> {
        Ok(match self.lexer.peek() {
            Some(b'n') => {
                self.lex(Lexer::null)?;
                Raw::Null
            }
            Some(b'"') => Raw::Text(self.lex(|lexer| lexer.string("a string"))?),
            Some(b'{') => self.object(index)?,
            Some(b't' | b'f' | b'[') | None => {
                return self.lex(|lexer| lexer.unexpected("a string, a number, an object or null"));
            }
            Some(_) => Raw::Number(self.lex(Lexer::number)?),
        })
    }

    /// A person name or an item: the name of the first member tells.
    fn object(&mut self, index: usize) -> Result<Raw<'a>, DicomError> {
        let offset = self.lexer.offset();
        if !self.lex(|lexer| lexer.open(b'{', b'}', "'{'"))? {
            return Ok(Raw::Nothing);
        }
        let first = self.lex(Lexer::name)?;
        if group(&first).is_some() {
            return self.name(first);
        }
        self.builder.enter(index, offset)?;
        let item = self.data_set(Some(first))?;
        self.builder.leave();
        Ok(Raw::Item(item))
    }

    fn name(&mut self, first: Cow<'a, str>) -> Result<Raw<'a>, DicomError> {
        let mut groups = [const { Cow::Borrowed("") }; 3];
        let mut next = Some(first);
        while let Some(name) = next {
            let offset = self.lexer.offset();
            let Some(group) = group(&name) else {
                return Err(self.builder.problem(ModelProblem::NameGroup, offset));
            };
            if !self.lex(Lexer::null)? {
                groups[group] = self.lex(|lexer| lexer.string("a component group in quotes"))?;
            }
            let more = self.lex(|lexer| lexer.more(b'}'))?;
            next = more.then(|| self.lex(Lexer::name)).transpose()?;
        }
        Ok(Raw::Name(groups))
    }

    /// Adds one value to the others of its attribute.
    fn take(
        &mut self,
        content: &mut Content<'a>,
        raw: Raw<'a>,
        offset: usize,
    ) -> Result<(), DicomError> {
        match content {
            Content::Waiting(waiting) => {
                self.builder.count(size_of::<(Raw<'_>, usize)>(), offset)?;
                waiting.push((raw, offset));
                Ok(())
            }
            Content::Items(items) => self.item(items, raw, offset),
            Content::Values(values) => self.single(values, &raw, offset),
            Content::Binary(_) | Content::BulkDataUri(_) => Ok(()), // no array leads to these
        }
    }

    fn item(
        &mut self,
        items: &mut Vec<DataSet>,
        raw: Raw<'a>,
        offset: usize,
    ) -> Result<(), DicomError> {
        items.push(match raw {
            Raw::Item(item) => item,
            Raw::Nothing | Raw::Null => {
                self.builder.enter(items.len(), offset)?;
                self.builder.leave();
                DataSet::new()
            }
            Raw::Text(_) | Raw::Number(_) | Raw::Name(_) => {
                let problem = ModelProblem::Value { vr: Vr::SQ };
                return Err(self.builder.problem(problem, offset));
            }
        });
        Ok(())
    }

    fn single(
        &mut self,
        values: &mut Values,
        raw: &Raw<'a>,
        offset: usize,
    ) -> Result<(), DicomError> {
        let is_name = values.vr() == Vr::PN;
        let single = match raw {
            Raw::Null => Single::Empty,
            Raw::Nothing if is_name => Single::Empty,
            Raw::Text(text) => Single::Text(text),
            Raw::Number(text) => Single::Number(text),
            Raw::Name(groups) if is_name => {
                let groups = [&*groups[0], &*groups[1], &*groups[2]];
                return self.builder.add_name(values, groups, offset);
            }
            Raw::Name(_) | Raw::Nothing | Raw::Item(_) => {
                let problem = ModelProblem::Value { vr: values.vr() };
                return Err(self.builder.problem(problem, offset));
            }
        };
        self.builder.add(values, &single, offset)
    }

    /// The value of an attribute whose members are all read.
    fn value(
        &mut self,
        vr: Vr,
        content: Option<Content<'a>>,
        begin: usize,
    ) -> Result<Value, DicomError> {
        Ok(match content {
            None if vr == Vr::SQ => Value::Items(Vec::new()),
            None => Value::Bytes(Vec::new()),
            Some(Content::Values(values)) => values.into_value(),
            Some(Content::Items(items)) => Value::Items(items),
            Some(Content::BulkDataUri(uri)) if vr != Vr::SQ => Value::BulkDataUri(uri),
            // Numbers too: bytes in little endian are what they are.
            Some(Content::Binary(bytes)) if vr != Vr::SQ && !vr.is_text() => Value::Bytes(bytes),
            Some(Content::BulkDataUri(_) | Content::Binary(_)) => {
                return Err(self.builder.problem(ModelProblem::Value { vr }, begin));
            }
            Some(Content::Waiting(waiting)) => {
                let mut content = if vr == Vr::SQ {
                    Content::Items(Vec::new())
                } else {
                    Content::Values(Values::new(vr))
                };
                for (raw, offset) in waiting {
                    self.take(&mut content, raw, offset)?;
                }
                return self.value(vr, Some(content), begin);
            }
        })
    }
}

/// Which component group a member of a name is.
fn group(name: &str) -> Option<usize> {
    ["Alphabetic", "Ideographic", "Phonetic"]
        .iter()
        .position(|group| *group == name)
}
