//! Searches of DICOMweb asked for in the plainest way: see [`super::hot`].

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{
    ACCEPT, ACCEPT_CHARSET, CONTENT_TYPE, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    VARY, WARNING,
};
use hyper::http::request::Parts;
use serde::Deserialize;
use vna_dicom::Level;

use super::body::Content;
use super::hot::answer;
use super::retrieve::one;
use crate::archive::Archive;
use crate::web::{SearchOptions, SearchTarget, WebSearch, search};

/// Results of a search that takes some hundred microseconds: a page, and one more by which viewers see whether there is
/// another.
const SHORT: u64 = 101;

/// Headers that need a decision: by which address proxies say that they were called, which is believed of some, and in
/// which character set texts are wanted.
const UNDECIDED: [HeaderName; 6] = [
    FORWARDED,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-proto"),
    ACCEPT_CHARSET,
];

/// Longest UID (PS3.5 §9.1).
const MAX_UID: usize = 64;

/// Where DICOMweb is, as `vna/rest/server.py` says.
#[derive(Debug, Clone, Deserialize)]
pub struct WebPolicy {
    /// The path below which it is.
    pub root: String,
    /// Our address in front of it; empty: as the request calls us.
    pub public_url: String,
    /// The scheme of requests.
    pub scheme: String,
    /// Most results of a search.
    pub max_results: u64,
    /// Whether no transfer syntax means the one that is stored.
    #[serde(default)]
    pub stored_by_default: bool,
}

impl WebPolicy {
    /// Whether a path is below the root.
    pub(super) fn has(&self, path: &str) -> bool {
        let behind = path.strip_prefix(self.root.as_str());
        behind.is_some_and(|behind| behind.starts_with('/'))
    }

    /// The search that a request asks for; `None` also for what needs a decision.
    pub(super) fn asked(&self, head: &Parts) -> Option<WebSearch> {
        let query = head.uri.query().unwrap_or_default();
        // Escaped letters of a name are possible, and nobody's habit.
        let names_form = query.contains("accept") || query.contains("charset");
        let target = target(head.uri.path().strip_prefix(self.root.as_str())?)?;
        if names_form || query.contains("%61") || query.contains("%63") || !is_plain(&head.headers)
        {
            return None;
        }
        media_type(&head.headers)?;
        let search = WebSearch::read(target, query).ok()?;
        (search.is_short(SHORT) && search.is_plain()).then_some(search)
    }

    /// Answers it.
    pub(super) async fn search(
        &self,
        archive: &Arc<Archive>,
        tenant: i64,
        asked: WebSearch,
        head: &Parts,
    ) -> Option<Response<Content>> {
        let media_type = media_type(&head.headers)?;
        let options = SearchOptions {
            tenant,
            max_results: self.max_results,
            root: self.service_root(&head.headers)?,
            boundary: None,
        };
        let found = if asked.is_at_hand() {
            search(archive, &asked, &options)
        } else {
            let (archive, options) = (Arc::clone(archive), options.clone());
            let read = move || search(&archive, &asked, &options);
            tokio::task::spawn_blocking(read).await.ok()?
        };
        let found = found.ok()?;
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        for text in found.warnings {
            headers.append(WARNING, warning(&options.root, &text)?);
        }
        Some(answer(headers, Content::whole(Bytes::from(found.body))))
    }

    /// The address of the studies service.
    pub(super) fn service_root(&self, headers: &HeaderMap) -> Option<String> {
        if !self.public_url.is_empty() {
            return Some(format!(
                "{}{}",
                self.public_url.trim_end_matches('/'),
                self.root
            ));
        }
        let host = headers.get(HOST)?.to_str().ok()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:[]".contains(c);
        let is_host = !host.is_empty() && host.chars().all(is_plain);
        is_host.then(|| format!("{}://{host}{}", self.scheme, self.root))
    }
}

/// Whether no header needs a decision, whatever is asked for.
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    !UNDECIDED.iter().any(|name| headers.contains_key(name))
}

/// The one form of JSON that a request accepts.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&'static str> {
    match one(headers, &ACCEPT)? {
        None | Some("*/*" | "application/dicom+json") => Some("application/dicom+json"),
        Some("application/json") => Some("application/json"),
        Some(_) => None,
    }
}

/// The value of a `Warning` header (PS3.18 §8.3.4.4): 299 is for what has no number. Its text is for people, and quoted.
pub(super) fn warning(root: &str, text: &str) -> Option<HeaderValue> {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '"' => plain.extend(['\\', character]),
            ' '..='~' => plain.push(character),
            _ => plain.push('?'),
        }
    }
    HeaderValue::try_from(format!("299 {root} \"{plain}\"")).ok()
}

/// What a path behind the root searches.
fn target(path: &str) -> Option<SearchTarget> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let (level, study, series) = match segments.as_slice() {
        ["studies"] => (Level::Study, None, None),
        ["series"] => (Level::Series, None, None),
        ["instances"] => (Level::Instance, None, None),
        ["studies", study, "series"] => (Level::Series, Some(uid(study)?), None),
        ["studies", study, "instances"] => (Level::Instance, Some(uid(study)?), None),
        ["studies", study, "series", series, "instances"] => {
            (Level::Instance, Some(uid(study)?), Some(uid(series)?))
        }
        _ => return None,
    };
    Some(SearchTarget {
        level,
        study,
        series,
    })
}

/// A UID of a path.
pub(super) fn uid(text: &str) -> Option<String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (text.len() <= MAX_UID && text.split('.').all(is_number)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> WebPolicy {
        WebPolicy {
            root: "/dicom-web".into(),
            public_url: String::new(),
            scheme: "http".into(),
            max_results: 1_000,
            stored_by_default: false,
        }
    }

    fn asked(path_and_query: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let mut request = hyper::Request::get(path_and_query);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        policy().asked(&head).is_some()
    }

    #[test]
    fn plain_searches_are_taken() {
        for path in [
            "/dicom-web/studies?PatientID=x",
            "/dicom-web/studies?00100020=x&includefield=StudyDescription",
            "/dicom-web/studies?limit=10",
            "/dicom-web/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060",
            "/dicom-web/studies?PatientID=x&nonsense=1",
            "/dicom-web/studies/1.2/series",
            "/dicom-web/studies/1.2/series/1.3/instances?limit=100&offset=2000",
            "/dicom-web/studies/1.2/instances?limit=1",
        ] {
            assert!(asked(path, &[]), "{path}");
            assert!(
                asked(path, &[("accept", "application/dicom+json")]),
                "{path}"
            );
        }
    }

    #[test]
    fn what_needs_a_decision_is_left_to_the_application() {
        for path in [
            "/dicom-web/studies",
            "/dicom-web/studies?limit=1000",
            "/dicom-web/studies?limit=100&offset=100",
            "/dicom-web/studies/1.2/instances",
            "/dicom-web/studies?PatientName=D*",
            "/dicom-web/studies?PatientID=x*",
            "/dicom-web/studies?PatientID=x&fuzzymatching=true",
            "/dicom-web/studies?PatientID=x&accept=application/json",
            "/dicom-web/studies?PatientID=x&%61ccept=text/html",
            "/dicom-web/studies/",
            "/dicom-web/studies/1.2",
            "/dicom-web/studies/1..2/series",
            "/dicom-web/studies/1.2/series/x/instances",
        ] {
            assert!(!asked(path, &[]), "{path}");
        }
        let path = "/dicom-web/studies?PatientID=x";
        for header in [
            ("accept", "text/html"),
            (
                "accept",
                "multipart/related; type=\"application/dicom+xml\"",
            ),
            ("accept-charset", "iso-8859-1"),
            ("forwarded", "host=x"),
            ("x-forwarded-host", "x"),
        ] {
            assert!(!asked(path, &[header]), "{header:?}");
        }
        assert!(!policy().has("/dicom-webstudies"));
    }

    #[test]
    fn a_warning_is_quoted_and_plain() {
        let value = warning("http://a", "a \"b\" \\ c\u{e9}\r\n");
        assert_eq!(value.unwrap(), r#"299 http://a "a \"b\" \\ c???""#);
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        let root = |host: &'static str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            policy().service_root(&headers)
        };
        assert_eq!(root("a:80").as_deref(), Some("http://a:80/dicom-web"));
        assert_eq!(root("a\"b"), None);
        assert_eq!(root("a/b"), None);
    }
}
