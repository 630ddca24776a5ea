//! Splits a multipart body (RFC 2046 §5.1) into its parts as its bytes come.
//!
//! (1) Held is at most what may be the beginning of a delimiter, or a part's header, which is bounded.
//! (2) How the body is cut into pieces does not change what its parts are.

use memchr::memmem::{Finder, find};

use super::error::UploadError;

/// Bytes of a part's header: some lines, one of which has a file name.
const MAX_HEADER: usize = 16 << 10;

/// Bytes before the first delimiter, where old mail programs put a sentence for those who cannot read the rest.
const MAX_PREAMBLE: usize = 64 << 10;

/// RFC 2046 §5.1.1 ends it at 70 characters, but Orthanc sends 73 and others send more.
const MAX_BOUNDARY: usize = 256;

/// Blanks behind a boundary, which mail gateways may add.
const MAX_PADDING: usize = 70;

const LINE_BREAK: &[u8] = b"\r\n";

/// What comes out of a body.
pub(crate) enum Event<'a> {
    /// A part begins; its header, without the empty line.
    Begin(PartHeader),
    /// Its next bytes.
    Bytes(&'a [u8]),
    /// It ends.
    End,
}

/// What the header of a part says, as far as we ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartHeader {
    /// The file name of a form's part, or else its Content-Location; empty if neither is there.
    pub(crate) name: String,
    /// Whether it is a field of a form that was not chosen as a file.
    pub(crate) is_field: bool,
    /// In lower case; empty if it is not said.
    pub(crate) transfer_encoding: String,
    /// Its Content-Type; empty if it is not said.
    pub(crate) content_type: String,
    /// Its Content-Location (RFC 2557 §4); empty if it is not said.
    pub(crate) location: String,
    /// Its Content-ID, as a URI has it: `cid:` and what stands between the angles (RFC 2392); empty if it is not said.
    pub(crate) content_id: String,
}

/// Reads one body.
pub(crate) struct Splitter {
    /// A line break and the delimiter.
    delimiter: Finder<'static>,
    is_form: bool,
    state: State,
    /// What is not passed yet.
    held: Vec<u8>,
    /// Bytes of the body before `held`.
    passed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    /// Behind a delimiter: a line break follows, or `--` after the last part.
    Delimited,
    Header,
    Body,
    Epilogue,
}

/// What to do with what is held.
enum Step {
    /// Goes on in this state, behind so many bytes.
    Pass(usize, State),
    /// Needs more.
    Wait,
}

impl Splitter {
    /// For a body of this Content-Type; `None` if that is not multipart.
    pub(crate) fn for_type(content_type: &str) -> Option<Result<Self, UploadError>> {
        let kind = content_type.split(';').next().unwrap_or("").trim();
        let (major, minor) = kind.split_once('/')?;
        if !major.eq_ignore_ascii_case("multipart") {
            return None;
        }
        let boundary = parameter(content_type, "boundary").unwrap_or_default();
        let is_boundary = (1..=MAX_BOUNDARY).contains(&boundary.len())
            && boundary.bytes().all(|byte| (b' '..0x7F).contains(&byte));
        Some(match is_boundary {
            true => Ok(Self::new(
                &boundary,
                minor.eq_ignore_ascii_case("form-data"),
            )),
            false => Err(UploadError::Multipart {
                code: "multipart.boundary",
                offset: 0,
                problem: "Content-Type names no boundary of 1 to 256 characters",
            }),
        })
    }

    fn new(boundary: &str, is_form: bool) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        Self {
            delimiter: Finder::new(delimiter.as_bytes()).into_owned(),
            is_form,
            state: State::Preamble,
            // The first delimiter may stand at the very beginning, without a line before it.
            held: LINE_BREAK.to_vec(),
            passed: 0,
        }
    }

    /// Where delimiters may be in a piece of the body.
    pub(crate) fn delimiters(&self, piece: &[u8]) -> impl Iterator<Item = usize> {
        self.delimiter.find_iter(piece)
    }

    /// Takes the next piece of the body and gives what it brings to `each`.
    pub(crate) fn push<E: From<UploadError>>(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut held = std::mem::take(&mut self.held);
        let mut at = 0;
        // Mostly the first delimiter stands at the very beginning, and nothing is held: the piece is read where it is.
        let first = &self.delimiter.needle()[LINE_BREAK.len()..];
        if self.state == State::Preamble && held == LINE_BREAK && piece.starts_with(first) {
            held.clear();
            at = first.len();
            self.state = State::Delimited;
        }
        let bytes: &[u8] = match held.is_empty() {
            true => piece,
            false => {
                held.extend_from_slice(piece);
                &held
            }
        };
        while let Step::Pass(count, state) = self.step(&bytes[at..], &mut each)? {
            at += count;
            self.state = state;
        }
        if self.state == State::Epilogue {
            at = bytes.len(); // what follows the last part is for nobody
        }
        // In a body, all but what may begin a delimiter has been given away.
        if self.state == State::Body {
            let keep = bytes.len() - at;
            let keep = keep.min(self.delimiter.needle().len() - 1);
            at = bytes.len() - keep;
        }
        self.passed += at as u64;
        match held.is_empty() {
            true => self.held.extend_from_slice(&piece[at..]),
            false => {
                held.drain(..at);
                self.held = held;
            }
        }
        Ok(())
    }

    /// All pieces were given.
    pub(crate) fn finish(&self) -> Result<(), UploadError> {
        match self.state {
            State::Epilogue => Ok(()),
            State::Preamble => Err(self.error(
                "multipart.delimiter",
                "it ends without the boundary of its Content-Type",
            )),
            _ => Err(self.error("multipart.truncated", "it ends before its last boundary")),
        }
    }

    fn step<E: From<UploadError>>(
        &self,
        bytes: &[u8],
        each: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<Step, E> {
        let delimiter = self.delimiter.needle().len();
        match self.state {
            State::Preamble => match self.delimiter.find(bytes) {
                Some(at) => Ok(Step::Pass(at + delimiter, State::Delimited)),
                None if bytes.len() > MAX_PREAMBLE => Err(self
                    .error(
                        "multipart.delimiter",
                        "it does not begin with the boundary of its Content-Type",
                    )
                    .into()),
                None => Ok(Step::Wait),
            },
            State::Delimited => self.after_delimiter(bytes).map_err(E::from),
            State::Header => match header_end(bytes) {
                Some((end, _)) if self.delimiter.find(&bytes[..end]).is_some() => Err(self
                    .error("multipart.header", "the header of a part has no end")
                    .into()),
                Some((end, next)) if end <= MAX_HEADER => {
                    each(Event::Begin(self.read_header(&bytes[..end])))?;
                    Ok(Step::Pass(next, State::Body))
                }
                None if bytes.len() <= MAX_HEADER => Ok(Step::Wait),
                _ => Err(self
                    .error("multipart.header", "the header of a part is over 16 KiB")
                    .into()),
            },
            State::Body => match self.delimiter.find(bytes) {
                Some(at) => {
                    if at > 0 {
                        each(Event::Bytes(&bytes[..at]))?;
                    }
                    each(Event::End)?;
                    Ok(Step::Pass(at + delimiter, State::Delimited))
                }
                None => {
                    let safe = bytes.len().saturating_sub(delimiter - 1);
                    if safe > 0 {
                        each(Event::Bytes(&bytes[..safe]))?;
                    }
                    Ok(Step::Wait)
                }
            },
            State::Epilogue => Ok(Step::Wait),
        }
    }

    fn after_delimiter(&self, bytes: &[u8]) -> Result<Step, UploadError> {
        if bytes.starts_with(b"--") {
            return Ok(Step::Pass(2, State::Epilogue));
        }
        // RFC 2046 lets blanks stand between a delimiter and its line break.
        let blanks = bytes
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let rest = &bytes[blanks..];
        if rest.starts_with(b"\r\n") {
            // The line break stays: a header without lines is that and an empty line.
            return Ok(Step::Pass(blanks, State::Header));
        }
        let may_come = rest.is_empty() || rest == b"\r" || bytes == b"-";
        match may_come && blanks <= MAX_PADDING {
            true => Ok(Step::Wait),
            false => Err(self.error(
                "multipart.delimiter",
                "a boundary is followed by neither a line break nor --",
            )),
        }
    }

    fn read_header(&self, header: &[u8]) -> PartHeader {
        let mut found = PartHeader::default();
        let mut file_name = None;
        // A line that begins with a blank goes on with the one before it (RFC 5322 §2.2.3).
        let text = String::from_utf8_lossy(header)
            .replace("\r\n ", " ")
            .replace("\r\n\t", " ");
        for line in text.split("\r\n") {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "content-disposition" => file_name = parameter(value, "filename"),
                "content-location" => found.location = value.trim().to_owned(),
                "content-type" => found.content_type = value.trim().to_owned(),
                "content-id" => {
                    let id = value.trim().trim_start_matches('<').trim_end_matches('>');
                    found.content_id = format!("cid:{id}");
                }
                "content-transfer-encoding" => {
                    found.transfer_encoding = value.trim().to_ascii_lowercase();
                }
                _ => {}
            }
        }
        found.is_field = self.is_form && file_name.is_none();
        found.name = file_name.unwrap_or_else(|| found.location.clone());
        found
    }

    fn error(&self, code: &'static str, problem: &'static str) -> UploadError {
        UploadError::Multipart {
            code,
            offset: self.passed,
            problem,
        }
    }
}

/// Where the lines of a header end and where the body begins, in what begins with the line break before it.
fn header_end(bytes: &[u8]) -> Option<(usize, usize)> {
    find(bytes, b"\r\n\r\n").map(|at| (at, at + 4))
}

/// The value of a parameter, such as `boundary` of a Content-Type (RFC 2045 §5.1): a token or a quoted string.
pub(crate) fn parameter(value: &str, name: &str) -> Option<String> {
    let (_, mut rest) = value.split_once(';')?;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (text, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(text);
        }
        rest = next.split_once(';')?.1;
    }
}

/// A quoted string up to its closing quote, and what follows. Browsers quote a path of Windows without escaping its
/// backslashes, so only what must be escaped is taken as such.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match (character, characters.peek()) {
            ('"', _) => return Some((text, &quoted[at + 1..])),
            ('\\', Some((_, next @ ('"' | '\\')))) => {
                text.push(*next);
                characters.next();
            }
            (other, _) => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    type Part = (PartHeader, Vec<u8>);

    fn split(content_type: &str, body: &[u8], piece: usize) -> Result<Vec<Part>, UploadError> {
        let mut splitter = Splitter::for_type(content_type).unwrap()?;
        let (mut parts, mut open) = (Vec::new(), None);
        for piece in body.chunks(piece) {
            splitter.push(piece, |event| {
                match event {
                    Event::Begin(header) => open = Some((header, Vec::new())),
                    Event::Bytes(bytes) => open.as_mut().unwrap().1.extend_from_slice(bytes),
                    Event::End => parts.push(open.take().unwrap()),
                }
                Ok::<(), UploadError>(())
            })?;
            assert!(splitter.held.len() <= MAX_PREAMBLE + piece.len());
        }
        splitter.finish()?;
        Ok(parts)
    }

    const FORM: &str = "multipart/form-data; boundary=\"a b\"";

    #[test]
    fn parts_are_the_same_however_the_body_is_cut() {
        let tricky = b"\r\n--a \r\n--a\r\n-\r\n--a c\r\r\n--";
        let body = [
            b"for those who cannot read this\r\n--a b\r\n".as_slice(),
            b"Content-Disposition: form-data; name=\"f\"; filename=\"C:\\x\\1\\\".dcm\"\r\n",
            b"Content-Type: application/dicom\r\n\r\n",
            tricky,
            b"\r\n--a b  \r\ncontent-disposition: form-data; name=field\r\n\r\n\r\n--a b\r\n\r\n",
            b"no header\r\n--a b--\r\nand more",
        ]
        .concat();
        let header = |name: &str, is_field| PartHeader {
            name: name.into(),
            is_field,
            ..PartHeader::default()
        };
        let file = PartHeader {
            content_type: "application/dicom".into(),
            ..header("C:\\x\\1\".dcm", false)
        };
        let expected = vec![
            (file, tricky.to_vec()),
            (header("", true), Vec::new()),
            (header("", true), b"no header".to_vec()),
        ];
        for piece in 1..=body.len() {
            assert_eq!(split(FORM, &body, piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn what_a_part_is_and_where_it_comes_from_is_in_its_header() {
        let body = b"--x\r\nContent-Type: image/jpeg;\r\n transfer-syntax=1.2\r\ncontent-location: a/b \r\n\
            Content-ID: <1@x>\r\n\r\n\r\n--x--";
        let parts = split("multipart/related; boundary=x", body, 7).unwrap();
        let header = PartHeader {
            name: "a/b".into(),
            content_type: "image/jpeg; transfer-syntax=1.2".into(),
            location: "a/b".into(),
            content_id: "cid:1@x".into(),
            ..PartHeader::default()
        };
        assert_eq!(parts, [(header, Vec::new())]);
    }

    #[test]
    fn a_boundary_as_long_as_orthanc_sends_it_is_taken() {
        let boundary = "3a1ad6fc-5ff9-4b38-b0cc-da9fa74baaac-3a1ad6fc-5ff9-4b38-b0cc-da9fa74baaac";
        let body = format!("--{boundary}\r\n\r\nx\r\n--{boundary}--");
        let content_type = format!("multipart/related; boundary={boundary}");
        let parts = split(&content_type, body.as_bytes(), 7).unwrap();
        assert_eq!(parts, [(PartHeader::default(), b"x".to_vec())]);
    }

    #[test]
    fn a_body_of_another_form_is_refused_by_name() {
        let code = |kind: &str, body: &[u8]| split(kind, body, 5).unwrap_err().code();
        assert_eq!(code("multipart/mixed", b""), "multipart.boundary");
        let long = format!("multipart/mixed; boundary={}", "x".repeat(257));
        assert_eq!(code(&long, b""), "multipart.boundary");
        assert_eq!(code(FORM, b""), "multipart.delimiter");
        assert_eq!(
            code(FORM, &[b'x'; MAX_PREAMBLE + 10]),
            "multipart.delimiter"
        );
        assert_eq!(code(FORM, b"--a bc\r\n\r\n"), "multipart.delimiter");
        assert_eq!(code(FORM, b"--a b\r\n\r\nx"), "multipart.truncated");
        assert_eq!(
            code(FORM, b"--a b\r\n\r\nx\r\n--a b"),
            "multipart.truncated"
        );
        assert_eq!(
            code(FORM, b"--a b\r\nx: y\r\n--a b\r\n\r\nz\r\n--a b--"),
            "multipart.header"
        );
        let endless = [b"--a b\r\n".as_slice(), &[b'x'; MAX_HEADER + 10]].concat();
        assert_eq!(code(FORM, &endless), "multipart.header");
    }

    #[test]
    fn other_media_types_are_not_multipart() {
        for kind in [
            "",
            "application/dicom",
            "multipart",
            "text/multipart; boundary=x",
        ] {
            assert!(Splitter::for_type(kind).is_none());
        }
    }
}
