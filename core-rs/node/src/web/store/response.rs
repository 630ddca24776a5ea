//! The Store Instances Response Module (PS3.18 §I.2), in DICOM JSON or XML, a part at a time.

use std::io::Write as _;
use std::sync::Arc;

use vna_dicom::Model;

use crate::error::ArchiveError;
use crate::ingest::pending::{How, Outcomes, Subject, Told};
use crate::ingest::{Refusal, UploadError};

/// Coercion of Data Elements: who retrieves the instance gets others than these (PS3.4 Table B.2-1).
const COERCED: u16 = 0xB000;

/// Refused: Out of Resources.
const OUT_OF_RESOURCES: u16 = 0xA700;
/// Error: Data Set does not match SOP Class; the second is ours for what is of another study than it was sent to.
const DATA_SET_MISMATCH: u16 = 0xA900;
const OTHER_STUDY: u16 = 0xA901;
/// Error: Cannot understand; the second is ours for bulk data that is missing.
const CANNOT_UNDERSTAND: u16 = 0xC000;
const BULK_DATA_MISSING: u16 = 0xC001;
/// Processing failure (PS3.7 §C.4.1.1, as PS3.18 Table I.2-2 has it).
const PROCESSING_FAILURE: u16 = 0x0110;
/// Refused: Not authorized (PS3.7 §C.5.13).
const NOT_AUTHORIZED: u16 = 0x0124;
/// Referenced Transfer Syntax not supported.
const TRANSFER_SYNTAX_NOT_SUPPORTED: u16 = 0xC122;

/// How to tell what became of a request.
#[derive(Clone, Debug)]
pub struct StoreTelling {
    /// In which form.
    pub model: Model,
    /// The address of all studies, which those of what was stored begin with.
    pub studies_url: String,
}

/// The answer to a Store request.
#[derive(Debug)]
pub struct StoreAnswer {
    telling: StoreTelling,
    status: u16,
    /// What was not stored, those that are not told included.
    not_stored: u64,
    /// The first thing that went wrong.
    problem: Option<String>,
    lines: Lines,
    /// How far it was written.
    at: (usize, usize),
}

/// What there is to tell.
#[derive(Debug, Default)]
struct Lines {
    stored: Vec<Line>,
    failed: Vec<Line>,
    /// Failures of what could not be named.
    other: Vec<u16>,
}

#[derive(Debug)]
struct Line {
    subject: Box<Subject>,
    /// Of a failure its reason, of what was stored the reason for a warning.
    reason: Option<u16>,
}

impl StoreAnswer {
    /// Of a request.
    ///
    /// # Errors
    ///
    /// What is wrong with the request, if it kept all from being stored.
    pub(super) fn of(
        outcomes: Outcomes,
        telling: StoreTelling,
    ) -> Result<StoreAnswer, Arc<ArchiveError>> {
        let Outcomes {
            told,
            not_stored,
            fatal,
        } = outcomes;
        let mut lines = Lines::default();
        let mut reasons: Vec<Arc<ArchiveError>> = Vec::new();
        let mut because = |why: &Arc<ArchiveError>| {
            // One speaks for all in the log and the status, unless they are of several kinds.
            if reasons.len() < 16 {
                reasons.push(Arc::clone(why));
            }
            failure_reason(why)
        };
        for told in told {
            match told {
                Told::Stored { how, subject, .. } => lines.stored.push(Line {
                    subject: subject.unwrap_or_default(),
                    reason: (how == How::BesideOther).then_some(COERCED),
                }),
                Told::Refused { why, subject, .. } => match subject {
                    None => lines.other.push(because(&why)),
                    Some(subject) => lines.failed.push(Line {
                        subject,
                        reason: Some(because(&why)),
                    }),
                },
                Told::PassedOver { why, .. } => lines.other.push(because(&why)),
                Told::Archive { .. } => {} // none is unpacked here
            }
        }
        if let Some(fatal) = fatal {
            if lines.stored.is_empty() {
                return Err(fatal);
            }
            lines.other.push(because(&fatal));
        }
        if lines.stored.is_empty() && lines.failed.is_empty() && lines.other.is_empty() {
            return Err(ArchiveError::from(UploadError::Empty).into());
        }
        let status = lines.status(&reasons);
        Ok(StoreAnswer {
            telling,
            status,
            not_stored,
            problem: reasons.first().map(|why| shortened(&why.to_string())),
            lines,
            at: (0, 0),
        })
    }

    /// The HTTP status (PS3.18 Table 10.5.3-1).
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// How many instances were not stored.
    #[must_use]
    pub fn not_stored(&self) -> u64 {
        self.not_stored
    }

    /// The first thing that went wrong, in words.
    #[must_use]
    pub fn problem(&self) -> &str {
        self.problem.as_deref().unwrap_or_default()
    }

    /// The address of what was stored, or of the least that all of it is in; none of what is in several studies.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        self.lines.location(&self.telling.studies_url)
    }

    /// Tells the log if something went wrong.
    pub(super) fn log_problem(&self, address: &str) {
        if let Some(problem) = &self.problem {
            tracing::warn!(
                instances = self.not_stored,
                status = self.status,
                reason = problem,
                address,
                "a Store request was not stored whole"
            );
        }
    }

    /// Whether it is written in no time.
    #[must_use]
    pub fn is_short(&self) -> bool {
        let lines = &self.lines;
        lines.stored.len() + lines.failed.len() + lines.other.len() <= 1
    }

    /// Whether all of it was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.at.0 > SECTIONS
    }

    /// The next part of it, somewhat over `bytes` at most; empty when all was given.
    pub fn next_part(&mut self, bytes: usize) -> Vec<u8> {
        let mut out = Writer {
            model: self.telling.model,
            out: Vec::new(),
            is_first: true,
        };
        while !self.is_given() && out.out.len() < bytes {
            let (section, line) = self.at;
            let done = match section {
                0 => {
                    out.begin();
                    if let Some(study) = self.lines.only_study() {
                        let url = format!("{}/{study}", self.telling.studies_url);
                        out.element("00081190", "RetrieveURL", "UR", &url);
                    }
                    true
                }
                SECTIONS => {
                    out.end();
                    true
                }
                _ => self
                    .lines
                    .write(section, line, &self.telling.studies_url, &mut out),
            };
            self.at = if done {
                (section + 1, 0)
            } else {
                (section, line + 1)
            };
        }
        out.out
    }
}

/// As much of a text as a header or a line of the log has room for.
fn shortened(text: &str) -> String {
    text.chars().take(1000).collect()
}

/// The retrieve URL, three sequences, and the end of all.
const SECTIONS: usize = 4;

impl Lines {
    fn status(&self, reasons: &[Arc<ArchiveError>]) -> u16 {
        let has_warning = self.stored.iter().any(|line| line.reason.is_some());
        let has_failed = !self.failed.is_empty() || !self.other.is_empty();
        if !self.stored.is_empty() {
            return if has_warning || has_failed { 202 } else { 200 };
        }
        let all = |kind: Refusal| reasons.iter().all(|why| refusal(why) == Some(kind));
        match () {
            () if all(Refusal::Unsupported) => 415,
            () if all(Refusal::TooLarge) => 413,
            // Not one could be named, so that not one was understood.
            () if self.failed.is_empty() => 400,
            () => 409,
        }
    }

    /// The study of all instances, if it is one.
    fn only_study(&self) -> Option<&str> {
        let mut studies = self
            .stored
            .iter()
            .map(|line| &line.subject.study_instance_uid);
        let first = studies.next()?;
        studies.all(|study| study == first).then_some(first)
    }

    /// Where all instances are found together.
    fn location(&self, studies_url: &str) -> Option<String> {
        let mut url = format!("{studies_url}/{}", self.only_study()?);
        let (first, others) = self.stored.split_first()?;
        let (first, others) = (&first.subject, others.iter().map(|line| &line.subject));
        let mut series = others.clone().map(|other| &other.series_instance_uid);
        if series.all(|other| *other == first.series_instance_uid) {
            url.push_str(&format!("/series/{}", first.series_instance_uid));
            let mut instances = others.map(|other| &other.sop_instance_uid);
            if instances.all(|other| *other == first.sop_instance_uid) {
                url.push_str(&format!("/instances/{}", first.sop_instance_uid));
            }
        }
        // What is no UID has no address that could be asked.
        let uids = &url[studies_url.len()..];
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./-_".contains(&byte);
        uids.bytes().all(is_plain).then_some(url)
    }

    /// Writes a line of a sequence; tells whether it was the last.
    fn write(&self, section: usize, line: usize, studies_url: &str, out: &mut Writer) -> bool {
        let (tag, keyword, count) = match section {
            1 => ("00081198", "FailedSOPSequence", self.failed.len()),
            2 => ("00081199", "ReferencedSOPSequence", self.stored.len()),
            _ => ("0008119A", "OtherFailuresSequence", self.other.len()),
        };
        if count == 0 {
            return true;
        }
        if line == 0 {
            out.begin_sequence(tag, keyword);
        }
        out.begin_item(line);
        match section {
            1 => self.failed[line].write(None, out),
            2 => self.stored[line].write(Some(studies_url), out),
            _ => out.number("00081197", "FailureReason", self.other[line]),
        }
        out.end_item();
        let is_last = line + 1 == count;
        if is_last {
            out.end_sequence();
        }
        is_last
    }
}

impl Line {
    fn write(&self, studies_url: Option<&str>, out: &mut Writer) {
        let Subject {
            study_instance_uid,
            series_instance_uid,
            sop_class_uid,
            sop_instance_uid,
        } = &*self.subject;
        out.element("00081150", "ReferencedSOPClassUID", "UI", sop_class_uid);
        out.element(
            "00081155",
            "ReferencedSOPInstanceUID",
            "UI",
            sop_instance_uid,
        );
        let Some(studies_url) = studies_url else {
            out.number(
                "00081197",
                "FailureReason",
                self.reason.unwrap_or(PROCESSING_FAILURE),
            );
            return;
        };
        let url = format!(
            "{studies_url}/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"
        );
        out.element("00081190", "RetrieveURL", "UR", &url);
        if let Some(reason) = self.reason {
            out.number("00081196", "WarningReason", reason);
        }
    }
}

/// Why an instance is not stored, as PS3.18 Table I.2-2 has it: the statuses of C-STORE.
fn failure_reason(error: &ArchiveError) -> u16 {
    match error {
        ArchiveError::Shared(error) => failure_reason(error),
        ArchiveError::Dicom(_) | ArchiveError::MetaInDataSet { .. } => CANNOT_UNDERSTAND,
        ArchiveError::UidMismatch { .. } => DATA_SET_MISMATCH,
        ArchiveError::ReadOnly => NOT_AUTHORIZED,
        ArchiveError::Store(_)
        | ArchiveError::Room { .. }
        | ArchiveError::Io { .. }
        | ArchiveError::Stopped => OUT_OF_RESOURCES,
        ArchiveError::Upload(error) => match error {
            UploadError::OtherStudy { .. } => OTHER_STUDY,
            UploadError::Unjoined {
                code: "bulk_data.missing",
                ..
            } => BULK_DATA_MISSING,
            UploadError::Unjoined { code, .. } if code.starts_with("pixel_data.") => {
                DATA_SET_MISMATCH
            }
            UploadError::Unsupported { .. } => TRANSFER_SYNTAX_NOT_SUPPORTED,
            error if error.refusal() == Refusal::TooLarge => OUT_OF_RESOURCES,
            _ => CANNOT_UNDERSTAND,
        },
        _ => PROCESSING_FAILURE,
    }
}

fn refusal(error: &ArchiveError) -> Option<Refusal> {
    match error {
        ArchiveError::Shared(error) => refusal(error),
        ArchiveError::Upload(error) => Some(error.refusal()),
        _ => None,
    }
}

/// Writes elements of either model.
struct Writer {
    model: Model,
    out: Vec<u8>,
    /// Whether the next element is the first of its data set, or the next item of its sequence.
    is_first: bool,
}

impl Writer {
    fn begin(&mut self) {
        self.push(match self.model {
            Model::Json => "{",
            Model::Xml => {
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel \
                 xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\" xml:space=\"preserve\">"
            }
        });
    }

    fn end(&mut self) {
        self.push(match self.model {
            Model::Json => "}",
            Model::Xml => "</NativeDicomModel>",
        });
    }

    /// An attribute as far as its value.
    fn attribute(&mut self, tag: &str, keyword: &str, vr: &str) {
        let comma = if self.is_first { "" } else { "," };
        self.is_first = false;
        // Writing to a Vec does not fail.
        let _ = match self.model {
            Model::Json => write!(self.out, "{comma}\"{tag}\":{{\"vr\":\"{vr}\""),
            Model::Xml => write!(
                self.out,
                "<DicomAttribute tag=\"{tag}\" vr=\"{vr}\" keyword=\"{keyword}\">"
            ),
        };
    }

    fn end_attribute(&mut self) {
        self.push(match self.model {
            Model::Json => "}",
            Model::Xml => "</DicomAttribute>",
        });
    }

    fn element(&mut self, tag: &str, keyword: &str, vr: &str, value: &str) {
        self.attribute(tag, keyword, vr);
        if !value.is_empty() {
            match self.model {
                Model::Json => {
                    let value = serde_json::Value::from(value);
                    let _ = write!(self.out, ",\"Value\":[{value}]");
                }
                Model::Xml => {
                    let value = escaped(value);
                    let _ = write!(self.out, "<Value number=\"1\">{value}</Value>");
                }
            }
        }
        self.end_attribute();
    }

    fn number(&mut self, tag: &str, keyword: &str, value: u16) {
        self.attribute(tag, keyword, "US");
        let _ = match self.model {
            Model::Json => write!(self.out, ",\"Value\":[{value}]"),
            Model::Xml => write!(self.out, "<Value number=\"1\">{value}</Value>"),
        };
        self.end_attribute();
    }

    fn begin_sequence(&mut self, tag: &str, keyword: &str) {
        self.attribute(tag, keyword, "SQ");
        if self.model == Model::Json {
            self.push(",\"Value\":[");
        }
    }

    fn end_sequence(&mut self) {
        if self.model == Model::Json {
            self.push("]");
        }
        self.end_attribute();
        self.is_first = false;
    }

    fn begin_item(&mut self, index: usize) {
        self.is_first = true;
        let _ = match self.model {
            Model::Json => write!(self.out, "{}{{", if index > 0 { "," } else { "" }),
            Model::Xml => write!(self.out, "<Item number=\"{}\">", index + 1),
        };
    }

    fn end_item(&mut self) {
        self.push(match self.model {
            Model::Json => "}",
            Model::Xml => "</Item>",
        });
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            control if control.is_control() => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
    out
}
