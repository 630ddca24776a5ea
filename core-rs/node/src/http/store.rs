//! Store requests of DICOMweb in their plainest form: see [`super::hot`].
//!
//! A body of files that fits a spool is read into one and goes to the archive from there, without a copy. Everything else
//! is the application's, which gets the body as if nobody had read it: chunks, metadata, a page of a browser, who stalls,
//! what is wrong with the whole request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, ORIGIN, WARNING,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::{oneshot, watch};
use vna_dicom::Model;

use super::body::Content;
use super::exchange::{RequestBody, response};
use super::hot::nosniff;
use super::retrieve::one;
use super::web::{WebPolicy, is_plain, media_type, uid, warning};
use crate::archive::Archive;
use crate::arrival::Caller;
use crate::dimse::Spool;
use crate::ingest::Head;
use crate::web::{Store, StoreAnswer, StoreTelling};

/// Headers that say that a page of a browser asks, or that another method is meant.
const OF_BROWSERS: [HeaderName; 3] = [
    ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-http-method-override"),
];

/// Bodies up to this length are looked through where they were received: a thread that may take its time costs more.
const SHORT_BYTES: usize = 1 << 20;

/// A plain request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoreAsked {
    study: Option<String>,
    length: usize,
    content_type: String,
    accepted: &'static str,
    root: String,
}

impl StoreAsked {
    /// Reads the head of a request; `None` if it is not plain.
    pub fn read(policy: &WebPolicy, head: &Parts) -> Option<StoreAsked> {
        if head.method != Method::POST || head.uri.query().is_some() {
            return None;
        }
        let rest = head.uri.path().strip_prefix(policy.root.as_str())?;
        let study = match rest.strip_prefix("/studies")? {
            "" => None,
            study => Some(uid(study.strip_prefix('/')?)?),
        };
        let headers = &head.headers;
        let is_others = |name: &HeaderName| headers.contains_key(name);
        if !is_plain(headers) || is_others(&CONTENT_ENCODING) || OF_BROWSERS.iter().any(is_others) {
            return None;
        }
        let content_type = one(headers, &CONTENT_TYPE)??;
        Store::is_of_files(content_type).then_some(())?;
        Some(StoreAsked {
            study,
            length: one(headers, &CONTENT_LENGTH)??.parse().ok()?,
            content_type: content_type.to_owned(),
            accepted: media_type(headers)?,
            root: policy.service_root(headers)?,
        })
    }

    /// Stores what the body brings; `None` if the application is to do it, to whom nothing of the body is lost.
    pub async fn answer(
        self,
        archive: &Arc<Archive>,
        caller: Caller,
        body: &RequestBody,
        patience: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Option<Response<Content>> {
        let storage = &archive.settings().storage;
        let is_held = (1..=storage.large_object_bytes).contains(&(self.length as u64));
        if !is_held || !storage.ingest_transcoding.is_empty() {
            return None;
        }
        let mut spool = archive.spools().try_take(self.length)?;
        let is_whole = tokio::select! {
            is_whole = read(body, self.length, &mut spool) => is_whole,
            () = tokio::time::sleep(patience) => false,
            // What is late when the server stops is told so by the application.
            _ = stopped.wait_for(|stop| *stop) => false,
        };
        let held = Bytes::from_owner(spool);
        if is_whole {
            if let Some(answer) = self.store(archive, caller, &held).await {
                return Some(answer);
            }
        }
        body.put_back(held).await;
        None
    }

    async fn store(
        &self,
        archive: &Arc<Archive>,
        caller: Caller,
        body: &Bytes,
    ) -> Option<Response<Content>> {
        let head = Head {
            content_type: self.content_type.clone(),
            content_encoding: String::new(),
            length: Some(body.len() as u64),
        };
        let mut store = Store::begin(archive, caller, &head, self.study.clone()).ok()?;
        if body.len() <= SHORT_BYTES && store.has_few_parts(body) {
            store.push_whole(body);
        } else {
            let body = body.clone();
            let push = move || {
                store.push_whole(&body);
                store
            };
            store = tokio::task::spawn_blocking(push).await.ok()?;
        }
        if store.is_joined() {
            return None;
        }
        let telling = StoreTelling {
            model: Model::Json,
            studies_url: format!("{}/studies", self.root),
        };
        let (tell, told) = oneshot::channel();
        // Who asked may have gone away.
        store.finish(telling, Box::new(move |answer| drop(tell.send(answer))));
        self.tell(told.await.ok()?.ok()?)
    }

    fn tell(&self, mut stored: StoreAnswer) -> Option<Response<Content>> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.accepted));
        if !stored.problem().is_empty() {
            headers.insert(WARNING, warning(&self.root, stored.problem())?);
        }
        let location = stored.location().map(HeaderValue::try_from);
        if let Some(Ok(location)) = location {
            headers.insert(CONTENT_LOCATION, location.clone());
            headers.insert(LOCATION, location);
        }
        let module = Bytes::from(stored.next_part(usize::MAX));
        let status = StatusCode::from_u16(stored.status()).ok()?;
        Some(nosniff(response(status, headers, Content::whole(module))))
    }
}

/// Reads a body into a spool; tells whether all of it came.
async fn read(body: &RequestBody, length: usize, spool: &mut Spool) -> bool {
    while spool.len() < length {
        match body.next().await {
            Ok(Some(piece)) if spool.append(&piece) == piece.len() => {}
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_FILES: (&str, &str) = (
        "content-type",
        "multipart/related; type=\"application/dicom\"; boundary=x",
    );

    fn asked(method: Method, path: &str, headers: &[(&str, &str)]) -> Option<StoreAsked> {
        let policy = WebPolicy {
            root: "/dicom-web".to_owned(),
            public_url: String::new(),
            scheme: "http".to_owned(),
            max_results: 1_000,
            stored_by_default: false,
        };
        let mut request = hyper::Request::builder().method(method).uri(path);
        for (name, value) in [("host", "pacs:8042")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        StoreAsked::read(&policy, &head)
    }

    #[test]
    fn plain_requests_are_taken() {
        let length = ("content-length", "12");
        let found = asked(Method::POST, "/dicom-web/studies", &[OF_FILES, length]).unwrap();
        assert_eq!((found.study, found.length), (None, 12));
        assert_eq!(found.root, "http://pacs:8042/dicom-web");
        let accept = ("accept", "application/json");
        let alone = ("content-type", "application/dicom");
        let headers = [alone, length, accept];
        let found = asked(Method::POST, "/dicom-web/studies/1.2", &headers).unwrap();
        assert_eq!(found.study.as_deref(), Some("1.2"));
        assert_eq!(found.accepted, "application/json");
    }

    #[test]
    fn what_needs_a_decision_is_left_to_the_application() {
        let length = ("content-length", "12");
        let path = "/dicom-web/studies";
        for (method, path) in [
            (Method::PUT, path),
            (Method::POST, "/dicom-web/studies/"),
            (Method::POST, "/dicom-web/studies/1.2/series"),
            (Method::POST, "/dicom-web/studies/x"),
            (Method::POST, "/dicom-web/studies?accept=application/json"),
            (Method::POST, "/dicom-web/series"),
            (Method::POST, "/instances"),
        ] {
            assert_eq!(asked(method, path, &[OF_FILES, length]), None, "{path}");
        }
        assert_eq!(asked(Method::POST, path, &[OF_FILES]), None, "no length");
        assert_eq!(asked(Method::POST, path, &[length]), None, "no type");
        for header in [
            ("accept", "application/dicom+xml"),
            ("accept-charset", "latin1"),
            ("content-encoding", "gzip"),
            ("content-type", "text/plain"),
            ("origin", "http://pacs:8042"),
            ("sec-fetch-site", "same-origin"),
            ("x-http-method-override", "DELETE"),
            ("x-forwarded-proto", "https"),
        ] {
            let headers = [OF_FILES, length, header];
            assert_eq!(asked(Method::POST, path, &headers), None, "{header:?}");
        }
        let metadata = "multipart/related; type=\"application/dicom+json\"; boundary=x";
        let headers = [("content-type", metadata), length];
        assert_eq!(asked(Method::POST, path, &headers), None);
    }
}
