//! Requests that need no decision: something that is there, asked for in the plainest way.
//!
//! They are most of what viewers and other programs ask, and answered here they cost a tenth of what the way through
//! the application costs. A parameter, a condition, a range, a name that is not ours, something that is not there: all
//! of that is the application's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::watch;
use vna_dicom::{Level, PublicId, TagsForm, TagsOptions};
use vna_index::{Located, Origin, Shape};

use super::body::{Buffers, Content, Made, StoredContent};
use super::cors::share;
use super::credentials::{Client, Credentials};
use super::exchange::{BodyWriter, RequestBody, response};
use super::lists::List;
use super::retrieve::RetrieveAsked;
use super::store::StoreAsked;
use super::web::WebPolicy;
use crate::archive::Archive;
use crate::arrival::{Caller, default_tenant, now_us};
use crate::error::ArchiveError;
use crate::forms::{cached_tags_json, stored_tags_json};
use crate::pictures::{PictureForm, PictureMode, PictureRequest, PictureSource};
use crate::stored_file::StoredFile;
use crate::web::{Answer, Outline, Selection, WebSearch, What};

/// What makes a request for a file more than that.
const CONDITIONS: [HeaderName; 6] = [
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];

/// Answers up to this length are put together before they leave.
const AT_ONCE_BYTES: u64 = 256 << 10;

/// How long a client may take nothing before his answer is broken off.
const STALLED: Duration = Duration::from_secs(300);

/// What the application has decided beforehand.
#[derive(Debug, Clone, Deserialize)]
pub struct HotPolicy {
    /// Names that requests may call us by, besides those of loopback; `None`: any.
    pub known_hosts: Option<Vec<String>>,
    /// Origins whose pages may read answers, in lower case; `*`: any.
    #[serde(default)]
    pub cors_origins: Vec<String>,
    /// Whose archive it is that requests ask.
    #[serde(default = "default_tenant")]
    pub tenant: i64,
    /// How long the body of a Store request may take before it is the application's.
    #[serde(default = "body_timeout_s")]
    pub body_timeout_s: f64,
    /// Where DICOMweb is; without, it is the application's.
    #[serde(default)]
    pub dicomweb: Option<WebPolicy>,
    /// Who need not be asked for, because he was known a moment ago.
    #[serde(skip)]
    pub credentials: Arc<Credentials>,
}

/// As `vna/settings` has it.
fn body_timeout_s() -> f64 {
    60.0
}

/// Answers plain requests.
pub(super) struct Hot {
    archive: Arc<Archive>,
    policy: HotPolicy,
    buffers: Arc<Buffers>,
}

/// What a path names.
#[derive(Debug, PartialEq)]
enum Asked {
    Resource(Level, PublicId),
    Tags(PublicId, TagsForm),
    File(PublicId),
    List(List),
    Search(WebSearch),
    Retrieve(RetrieveAsked),
    /// A frame, counted from 0.
    Picture(PublicId, u64, PictureMode),
}

impl Hot {
    pub fn new(archive: Arc<Archive>, policy: HotPolicy) -> Self {
        Self {
            archive,
            policy,
            buffers: Arc::default(),
        }
    }

    /// The answer, or `None` if the application is to answer. An error is none of ours either: asked again, it comes
    /// again, and the application tells it.
    pub async fn answer(&self, head: &Parts) -> Option<Response<Content>> {
        if head.method != Method::GET {
            return None;
        }
        let web = self.policy.dicomweb.as_ref();
        let asked = match web.filter(|web| web.has(head.uri.path())) {
            Some(web) => web_asked(web, head)?,
            None => asked(head.uri.path(), head.uri.query())?,
        };
        if !self.is_known(head.headers.get(HOST)) {
            return None;
        }
        let tenant = self.client(head)?.tenant;
        match asked {
            Asked::Resource(level, id) => self.resource(tenant, level, id),
            Asked::Tags(id, form) => self.tags(tenant, id, form).await,
            Asked::File(id) => self.file(tenant, id, &head.headers),
            Asked::List(list) => self.list(tenant, list).await,
            Asked::Search(search) => web?.search(&self.archive, tenant, search, head).await,
            Asked::Retrieve(asked) => self.retrieve(tenant, web?, asked).await,
            Asked::Picture(id, frame, mode) => {
                self.picture(tenant, id, frame, mode, &head.headers).await
            }
        }
    }

    /// The answer to a Store request, or `None` if the application is to answer.
    pub async fn store(
        &self,
        head: &Parts,
        body: &RequestBody,
        remote: SocketAddr,
        stopped: watch::Receiver<bool>,
    ) -> Option<Response<Content>> {
        let asked = StoreAsked::read(self.policy.dicomweb.as_ref()?, head)?;
        if !self.is_known(head.headers.get(HOST)) {
            return None;
        }
        let client = self.client(head).filter(|client| client.may_store)?;
        let caller = Caller {
            tenant: client.tenant,
            origin: Origin {
                way_in: "dicomweb".into(),
                address: remote.ip().to_string(),
                user: client.user.as_deref().unwrap_or_default().to_owned(),
                ..Origin::default()
            },
        };
        let patience = Duration::try_from_secs_f64(self.policy.body_timeout_s).ok()?;
        let archive = &self.archive;
        asked.answer(archive, caller, body, patience, stopped).await
    }

    /// Whose request it is, if that is known without the application.
    fn client(&self, head: &Parts) -> Option<Client> {
        let authorization = head.headers.get(AUTHORIZATION);
        let credentials = &self.policy.credentials;
        credentials.client(authorization, self.policy.tenant)
    }

    /// Nobody is connected.
    pub fn rest(&self) {
        self.archive.spools().trim();
    }

    /// Lets pages of other origins read an answer, as far as they may.
    pub fn share(&self, head: &Parts, answer: &mut Response<Content>) {
        share(
            &self.policy.cors_origins,
            &head.headers,
            answer.headers_mut(),
        );
    }

    /// One was answered.
    pub fn answered(&self, took: Duration) {
        self.archive.plain_requests.record(took);
    }

    fn resource(&self, tenant: i64, level: Level, id: PublicId) -> Option<Response<Content>> {
        let index = self.archive.index();
        let found = index.resource_json(tenant, level, &id, &Shape::whole());
        Some(json(found.ok()??))
    }

    async fn tags(&self, tenant: i64, id: PublicId, form: TagsForm) -> Option<Response<Content>> {
        let (located, reader) = self.open(tenant, &id)?;
        let options = TagsOptions {
            form,
            ..TagsOptions::default()
        };
        if let Some(found) = cached_tags_json(&located, &reader, &options).ok()? {
            return Some(json(found));
        }
        let read = move || -> Result<Vec<u8>, ArchiveError> {
            let options = TagsOptions {
                form,
                ..TagsOptions::default()
            };
            stored_tags_json(&located, &reader, &options)
        };
        Some(json(tokio::task::spawn_blocking(read).await.ok()?.ok()?))
    }

    async fn list(&self, tenant: i64, list: List) -> Option<Response<Content>> {
        if list.is_tiny(&self.archive, tenant).ok()? {
            return Some(json(list.json(&self.archive, tenant).ok()?));
        }
        let archive = Arc::clone(&self.archive);
        let read = move || -> Result<Option<Vec<u8>>, ArchiveError> {
            if !list.is_short(&archive, tenant)? {
                return Ok(None);
            }
            list.json(&archive, tenant).map(Some)
        };
        Some(json(tokio::task::spawn_blocking(read).await.ok()?.ok()??))
    }

    fn file(&self, tenant: i64, id: PublicId, headers: &HeaderMap) -> Option<Response<Content>> {
        let accepted = headers.get(ACCEPT).map(HeaderValue::as_bytes);
        if !matches!(accepted, None | Some(b"*/*" | b"application/dicom"))
            || CONDITIONS.iter().any(|name| headers.contains_key(name))
        {
            return None;
        }
        let (_, reader) = self.open(tenant, &id)?;
        let etag = hex(&reader.digest().0);
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/dicom"));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_DISPOSITION, text(format!("filename=\"{id}.dcm\""))?);
        headers.insert(ETAG, text(format!("\"{etag}\""))?);
        let stored = StoredContent::whole(reader, &self.buffers);
        Some(answer(headers, Content::Stored(stored)))
    }

    /// A picture as its header wants it, in the format that is named or PNG.
    async fn picture(
        &self,
        tenant: i64,
        id: PublicId,
        frame: u64,
        mode: PictureMode,
        headers: &HeaderMap,
    ) -> Option<Response<Content>> {
        let (form, media_type) = match headers.get(ACCEPT).map(HeaderValue::as_bytes) {
            None | Some(b"*/*" | b"image/png") => (PictureForm::Png, "image/png"),
            Some(b"image/jpeg") => (PictureForm::Jpeg, "image/jpeg"),
            Some(_) => return None,
        };
        if CONDITIONS.iter().any(|name| headers.contains_key(name)) {
            return None;
        }
        let (located, reader) = self.open(tenant, &id)?;
        let etag = format!(
            "W/\"{}-{}-{frame}-{}\"",
            hex(&reader.digest().0),
            mode.name(),
            &media_type["image/".len()..]
        );
        let source = PictureSource {
            located: Arc::new(located),
            reader: Arc::new(reader),
            state: None,
        };
        let request = PictureRequest {
            frame,
            mode,
            form,
            ..PictureRequest::default()
        };
        let file = self.archive.pictures().picture(source, request).await;
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(ETAG, text(etag)?);
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        // The memory that the picture holds is free when it was sent.
        Some(answer(
            headers,
            Content::whole(Bytes::from_owner(file.ok()?)),
        ))
    }

    /// What DICOMweb gives of studies.
    async fn retrieve(
        &self,
        tenant: i64,
        policy: &WebPolicy,
        asked: RetrieveAsked,
    ) -> Option<Response<Content>> {
        let archive = Arc::clone(&self.archive);
        let is_long = asked.is_long();
        let find = move || {
            let found = Selection::find(&archive, tenant, &asked.path());
            (asked, found)
        };
        let (asked, selection) = match is_long {
            true => tokio::task::spawn_blocking(find).await.ok()?,
            false => find(),
        };
        let selection = selection.ok()?;
        let (wanted, called) = asked.wanted(policy, &selection)?;
        let Outline { boundary, etag } = Outline::of(&selection, &wanted);
        let (gzip, has_ranges) = (wanted.gzip, !matches!(wanted.what, What::Metadata));
        let mut sent = Answer::prepare(&selection, wanted).await.ok()?;
        let mut headers = HeaderMap::with_capacity(8);
        let called = match boundary {
            Some(boundary) => format!("{called}; boundary={boundary}"),
            None => called,
        };
        headers.insert(CONTENT_TYPE, text(called)?);
        headers.insert(CONTENT_LOCATION, text(asked.location)?);
        headers.insert(ETAG, text(etag)?);
        if let Some(modified_s) = selection.modified_s(now_us()) {
            let since = Duration::from_secs(u64::try_from(modified_s).ok()?);
            let date = httpdate::fmt_http_date(UNIX_EPOCH + since);
            headers.insert(LAST_MODIFIED, text(date)?);
        }
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let length = sent.length();
        if has_ranges && length.is_some() {
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if is_long || length.is_none_or(|length| length > AT_ONCE_BYTES) {
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            if sent.is_one_stored() {
                return Some(answer(headers, Content::Made(Made::new(sent))));
            }
            let (writer, content) = BodyWriter::new();
            tokio::spawn(write_answer(sent, writer));
            return Some(answer(headers, content));
        }
        let mut all = Vec::new();
        while let Some(piece) = sent.next().await.ok()? {
            all.extend_from_slice(&piece);
        }
        Some(answer(headers, Content::whole(Bytes::from(all))))
    }

    fn open(&self, tenant: i64, id: &PublicId) -> Option<(Located, StoredFile)> {
        self.archive.open_file(tenant, id).ok()?
    }

    /// Whether the request calls us by a name of ours: one that was rebound to loopback is not.
    fn is_known(&self, host: Option<&HeaderValue>) -> bool {
        let Some(known) = &self.policy.known_hosts else {
            return true;
        };
        let Some(host) = host.and_then(|host| host.to_str().ok()) else {
            return false;
        };
        let name = match host.rsplit_once(':') {
            Some((name, _)) if !host.ends_with(']') => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost"
            || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            || known.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// What is plainly asked of DICOMweb.
fn web_asked(policy: &WebPolicy, head: &Parts) -> Option<Asked> {
    if let Some(search) = policy.asked(head) {
        return Some(Asked::Search(search));
    }
    let is_plain = head.uri.query().is_none()
        && !CONDITIONS
            .iter()
            .any(|name| head.headers.contains_key(name));
    let asked = is_plain.then(|| RetrieveAsked::read(policy, head.uri.path(), &head.headers));
    asked.flatten().map(Asked::Retrieve)
}

/// Writes an answer as fast as the client takes it. What fails breaks the connection off.
async fn write_answer(mut answer: Answer, writer: BodyWriter) {
    loop {
        match answer.next().await {
            Ok(Some(piece)) => {
                let written = tokio::time::timeout(STALLED, writer.write(piece)).await;
                if !matches!(written, Ok(Ok(()))) {
                    return;
                }
            }
            Ok(None) => return writer.finish().await,
            Err(error) => {
                tracing::error!(error = %error, "an answer of DICOMweb was broken off");
                return;
            }
        }
    }
}

fn asked(path: &str, query: Option<&str>) -> Option<Asked> {
    if let Some(list) = List::asked(path, query) {
        return Some(Asked::List(list));
    }
    if query.is_some() {
        return None;
    }
    let mut segments = path.strip_prefix('/')?.split('/');
    let level = segments.next()?;
    let level = Level::ALL.into_iter().find(|one| one.plural() == level)?;
    let id = segments.next()?.parse().ok()?;
    let mut what = segments.next();
    let mut frame = None;
    if (level, what) == (Level::Instance, Some("frames")) {
        frame = Some(frame_number(segments.next()?)?);
        what = segments.next();
    }
    if segments.next().is_some() {
        return None;
    }
    if let (Level::Instance, Some(mode)) = (level, what.and_then(picture_mode)) {
        return Some(Asked::Picture(id, frame.unwrap_or(0), mode));
    }
    if frame.is_some() {
        return None;
    }
    Some(match (level, what) {
        (level, None) => Asked::Resource(level, id),
        (Level::Instance, Some("file")) => Asked::File(id),
        (Level::Instance, Some("tags")) => Asked::Tags(id, TagsForm::Full),
        (Level::Instance, Some("simplified-tags")) => Asked::Tags(id, TagsForm::Simplified),
        _ => return None,
    })
}

fn picture_mode(name: &str) -> Option<PictureMode> {
    let modes = [PictureMode::Preview, PictureMode::Rendered];
    modes.into_iter().find(|mode| mode.name() == name)
}

/// A number as it is usually written: others may mean the same, and the application knows.
fn frame_number(text: &str) -> Option<u64> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| is_plain)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(bytes: Vec<u8>) -> Response<Content> {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer(headers, Content::whole(Bytes::from(bytes)))
}

pub(super) fn answer(headers: HeaderMap, content: Content) -> Response<Content> {
    nosniff(response(StatusCode::OK, headers, content))
}

/// With the header that every answer has.
pub(super) fn nosniff(mut answer: Response<Content>) -> Response<Content> {
    let nosniff = HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}

fn text(value: String) -> Option<HeaderValue> {
    HeaderValue::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "66a662ce-7430e543-bad44d47-0dc5a943-ec7a538d";

    #[test]
    fn only_whole_paths_are_taken() {
        let id: PublicId = ID.parse().unwrap();
        let resource = |level| Some(Asked::Resource(level, id));
        assert_eq!(
            asked(&format!("/studies/{ID}"), None),
            resource(Level::Study)
        );
        assert_eq!(
            asked(&format!("/instances/{ID}/file"), None),
            Some(Asked::File(id))
        );
        let picture = |frame, mode| Some(Asked::Picture(id, frame, mode));
        for (path, frame, mode) in [
            ("preview", 0, PictureMode::Preview),
            ("rendered", 0, PictureMode::Rendered),
            ("frames/0/preview", 0, PictureMode::Preview),
            ("frames/17/rendered", 17, PictureMode::Rendered),
        ] {
            let path = format!("/instances/{ID}/{path}");
            assert_eq!(asked(&path, None), picture(frame, mode), "{path}");
        }
        for other in [
            format!("/instances/{ID}/image-uint8"),
            format!("/instances/{ID}/frames"),
            format!("/instances/{ID}/frames/0"),
            format!("/instances/{ID}/frames/01/preview"),
            format!("/instances/{ID}/frames/-1/preview"),
            format!("/instances/{ID}/frames/+1/preview"),
            format!("/instances/{ID}/frames/0/raw"),
            format!("/instances/{ID}/frames/0/tags"),
            format!("/instances/{ID}/frames/0/preview/"),
            format!("/series/{ID}/preview"),
            "".to_owned(),
            "/".to_owned(),
            "/studies/".to_owned(),
            format!("/studies/{ID}/"),
            format!("/studies/{ID}/file"),
            format!("/study/{ID}"),
            format!("//studies/{ID}"),
            format!("/instances/{ID}/file/"),
            format!("/instances/%36{}", &ID[1..]),
        ] {
            assert_eq!(asked(&other, None), None, "{other}");
        }
    }
}
