//! From the texts of either model to a data set, within budgets.

use super::problem::ModelProblem;
use super::value::{Decimal, decimal_string, join_groups};
use super::walk::UTF_8;
use crate::encode::belongs_into_data_set;
use crate::{
    Budget, DataElement, DataSet, DicomError, MAX_DEPTH, MAX_ELEMENTS, MAX_TAGS_BYTES, Tag, Value,
    Vr, tags,
};
use std::fmt::Write;

/// What both readers keep in common: where they are, what they have spent, what they have seen.
#[derive(Default)]
pub(crate) struct Builder {
    /// The sequences around the data set at hand, each with the number of its item.
    path: Vec<(Tag, usize)>,
    /// The attribute at hand.
    tag: Option<Tag>,
    elements: usize,
    /// What the elements take beside their values, which are never longer than eight times their text.
    held: usize,
    /// Whether a text needs a character set to be named.
    beyond_ascii: bool,
    /// Whether File Meta Information may be among the outermost elements.
    takes_meta: bool,
}

impl Builder {
    /// One that takes File Meta Information too.
    pub fn with_meta() -> Self {
        Builder {
            takes_meta: true,
            ..Builder::default()
        }
    }

    /// Counts an element or an item, and `held` bytes that it takes.
    pub fn count(&mut self, held: usize, offset: usize) -> Result<(), DicomError> {
        self.elements += 1;
        self.held += held;
        let budget = if self.elements > MAX_ELEMENTS {
            Budget::Elements
        } else if self.held > MAX_TAGS_BYTES {
            Budget::Tags
        } else {
            return Ok(());
        };
        Err(over(budget, offset))
    }

    /// Begins a data set that is no item.
    pub fn begin_data_set(&mut self) {
        self.beyond_ascii = false;
    }

    /// Goes into an item of the attribute at hand.
    pub fn enter(&mut self, index: usize, offset: usize) -> Result<(), DicomError> {
        if self.path.len() >= MAX_DEPTH {
            return Err(over(Budget::Depth, offset));
        }
        self.count(size_of::<DataSet>(), offset)?;
        self.path.push((self.tag.unwrap_or_default(), index));
        self.tag = None;
        Ok(())
    }

    /// Comes out of it again.
    pub fn leave(&mut self) {
        self.tag = self.path.pop().map(|(sequence, _)| sequence);
    }

    /// An error at the attribute at hand.
    pub fn problem(&self, problem: ModelProblem, offset: usize) -> DicomError {
        let mut path = String::new();
        // Writing to a String does not fail.
        for (tag, index) in &self.path {
            let _ = write!(path, "/{:08X}/{index}", tag.to_u32());
        }
        if let Some(tag) = self.tag {
            let _ = write!(path, "/{:08X}", tag.to_u32());
        }
        DicomError::Model {
            problem,
            path,
            offset: offset as u64,
        }
    }

    /// Begins the attribute of that tag, if a data set may hold it.
    pub fn begin(&mut self, text: &str, offset: usize) -> Result<Tag, DicomError> {
        let is_tag = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let tag = u32::from_str_radix(text, 16).ok().filter(|_| is_tag);
        let Some(tag) = tag.map(Tag::from_u32) else {
            let found = text.chars().take(16).collect();
            return Err(self.problem(ModelProblem::Tag { found }, offset));
        };
        self.tag = Some(tag);
        let is_meta = self.takes_meta && tag.0 == 0x0002 && self.path.is_empty();
        if !belongs_into_data_set(tag) && !is_meta {
            return Err(self.problem(ModelProblem::Group, offset));
        }
        Ok(tag)
    }

    /// The VR of that name.
    pub fn vr(&self, text: &str, offset: usize) -> Result<Vr, DicomError> {
        let vr = match *text.as_bytes() {
            [a, b] => Vr([a, b]),
            _ => Vr([0, 0]),
        };
        if vr.is_known() {
            return Ok(vr);
        }
        let found = text.chars().take(16).collect();
        Err(self.problem(ModelProblem::Vr { found }, offset))
    }

    /// Adds one value.
    pub fn add(
        &mut self,
        values: &mut Values,
        single: &Single<'_>,
        offset: usize,
    ) -> Result<(), DicomError> {
        if let Single::Text(text) = single {
            self.beyond_ascii |= !text.is_ascii();
        }
        values
            .push(single)
            .map_err(|problem| self.problem(problem, offset))
    }

    /// Adds a person name.
    pub fn add_name(
        &mut self,
        values: &mut Values,
        groups: [&str; 3],
        offset: usize,
    ) -> Result<(), DicomError> {
        self.add(values, &Single::Text(&join_groups(groups)), offset)
    }

    /// Adds an element to those of its data set, whatever their order.
    pub fn push(
        &mut self,
        elements: &mut Vec<DataElement>,
        element: DataElement,
        offset: usize,
    ) -> Result<(), DicomError> {
        self.tag = None;
        if element.tag.is_group_length() {
            return Ok(()); // what it says is wrong as soon as a text has another length
        }
        self.count(size_of::<DataElement>(), offset)?;
        elements.push(if element.tag == tags::SPECIFIC_CHARACTER_SET {
            character_set()
        } else {
            element
        });
        Ok(())
    }

    /// The data set of these elements.
    pub fn data_set(
        &mut self,
        mut elements: Vec<DataElement>,
        offset: usize,
    ) -> Result<DataSet, DicomError> {
        let names_its_set = |element: &DataElement| element.tag == tags::SPECIFIC_CHARACTER_SET;
        let is_outermost = self.path.is_empty();
        if is_outermost && self.beyond_ascii && !elements.iter().any(names_its_set) {
            elements.push(character_set());
        }
        elements.sort_by_key(|element| element.tag);
        let mut pairs = elements.windows(2);
        if let Some(pair) = pairs.find(|pair| pair[0].tag == pair[1].tag) {
            self.tag = Some(pair[0].tag);
            return Err(self.problem(ModelProblem::Twice, offset));
        }
        Ok(elements.into_iter().collect())
    }
}

fn character_set() -> DataElement {
    DataElement {
        tag: tags::SPECIFIC_CHARACTER_SET,
        vr: Vr::CS,
        value: Value::Bytes(UTF_8.into()),
    }
}

pub(crate) fn over(budget: Budget, offset: usize) -> DicomError {
    DicomError::Budget {
        budget,
        offset: offset as u64,
    }
}

/// One value as a model gives it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Single<'a> {
    /// Nothing: PS3.18 §F.2.5 has `null`.
    Empty,
    Text(&'a str),
    /// Of JSON; in XML numbers are texts.
    Number(&'a str),
}

/// The values of an element on their way to bytes.
#[derive(Debug)]
pub(crate) struct Values {
    vr: Vr,
    bytes: Vec<u8>,
    count: usize,
    /// Whether the only value so far was empty.
    empty: bool,
}

impl Values {
    pub fn new(vr: Vr) -> Self {
        Values {
            vr,
            bytes: Vec::new(),
            count: 0,
            empty: false,
        }
    }

    pub fn vr(&self) -> Vr {
        self.vr
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn into_value(self) -> Value {
        Value::Bytes(self.bytes)
    }

    fn push(&mut self, single: &Single<'_>) -> Result<(), ModelProblem> {
        self.count += 1;
        if self.vr.is_text() {
            return self.push_text(single);
        }
        if !self.vr.is_number() {
            return Err(ModelProblem::InPlace { vr: self.vr });
        }
        match single {
            // A number cannot be empty; all of the value can.
            Single::Empty if self.count == 1 => {
                self.empty = true;
                Ok(())
            }
            Single::Text(text) | Single::Number(text) if !self.empty => {
                self.push_number(text.trim()).ok_or(self.no_value())
            }
            _ => Err(ModelProblem::EmptyNumber { vr: self.vr }),
        }
    }

    fn no_value(&self) -> ModelProblem {
        ModelProblem::Value { vr: self.vr }
    }

    fn push_text(&mut self, single: &Single<'_>) -> Result<(), ModelProblem> {
        if self.count > 1 {
            if !self.vr.is_multi_valued_text() {
                return Err(ModelProblem::Several { vr: self.vr });
            }
            self.bytes.push(b'\\');
        }
        match (&self.vr.0, *single) {
            (_, Single::Empty) => {}
            (_, Single::Text(text)) => self.bytes.extend_from_slice(text.as_bytes()),
            (b"IS", Single::Number(token)) => {
                let integer = integer(token).ok_or(self.no_value())?;
                self.bytes.extend_from_slice(integer.to_string().as_bytes());
            }
            (b"DS", Single::Number(token)) => {
                let text = decimal_string(token).ok_or(self.no_value())?;
                self.bytes.extend_from_slice(text.as_bytes());
            }
            (_, Single::Number(_)) => return Err(self.no_value()),
        }
        Ok(())
    }

    fn push_number(&mut self, text: &str) -> Option<()> {
        let out = &mut self.bytes;
        match &self.vr.0 {
            b"US" => out.extend(u16::try_from(integer(text)?).ok()?.to_le_bytes()),
            b"SS" => out.extend(i16::try_from(integer(text)?).ok()?.to_le_bytes()),
            b"UL" => out.extend(u32::try_from(integer(text)?).ok()?.to_le_bytes()),
            b"SL" => out.extend(i32::try_from(integer(text)?).ok()?.to_le_bytes()),
            b"UV" => out.extend(u64::try_from(integer(text)?).ok()?.to_le_bytes()),
            b"SV" => out.extend(i64::try_from(integer(text)?).ok()?.to_le_bytes()),
            b"FD" => out.extend(float(text)?.to_le_bytes()),
            b"FL" => out.extend(single_precision(float(text)?)?.to_le_bytes()),
            b"AT" => {
                let is_tag = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
                let tag = Tag::from_u32(u32::from_str_radix(text, 16).ok().filter(|_| is_tag)?);
                out.extend(tag.0.to_le_bytes());
                out.extend(tag.1.to_le_bytes());
            }
            _ => return None,
        }
        Some(())
    }
}

/// A whole number, also one that is written `1.0` or `1e3`.
fn integer(text: &str) -> Option<i128> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    Decimal::parse(text)?;
    let number: f64 = text.parse().ok()?;
    let is_exact = number.fract() == 0.0 && number.abs() <= EXACT_INTEGERS;
    #[allow(clippy::cast_possible_truncation, reason = "it is exact")]
    is_exact.then_some(number as i128)
}

/// Up to here a double has a place for every integer.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// A number, or the name of what is none, in any usual spelling.
fn float(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let is_too_large = number.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    (!is_too_large).then_some(number)
}

fn single_precision(number: f64) -> Option<f32> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "rounds, which is what is wanted"
    )]
    let single = number as f32;
    (single.is_infinite() == number.is_infinite()).then_some(single)
}
