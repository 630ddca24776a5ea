//! Cross-Origin Resource Sharing of what is answered here; `vna/rest/cors.py` says what it is for, and answers the rest.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};

/// What a page may read of an answer beside what browsers always show; the application says the same.
const EXPOSED: &str = "Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Length, Content-Location, \
     Content-Range, ETag, Location, Retry-After, Vna-Not-Stored, Warning, WWW-Authenticate";

/// Adds to an answer what lets a page of another origin read it, if that is configured: `origins` are in lower case, and
/// `*` stands for any, without credentials.
pub(super) fn share(origins: &[String], asked: &HeaderMap, answer: &mut HeaderMap) {
    if origins.is_empty() {
        return;
    }
    let is_any = origins.iter().any(|origin| origin == "*");
    if !(is_any && origins.len() == 1) {
        answer.append(VARY, HeaderValue::from_static("Origin"));
    }
    let origin = asked.get(ORIGIN);
    let listed = origin.filter(|origin| {
        let origin = origin.as_bytes();
        let is_it = |known: &String| known != "*" && known.as_bytes().eq_ignore_ascii_case(origin);
        origins.iter().any(is_it)
    });
    match listed {
        Some(origin) => {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let yes = HeaderValue::from_static("true");
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        None if is_any => {
            let any = HeaderValue::from_static("*");
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
        }
        None => return,
    }
    let exposed = HeaderValue::from_static(EXPOSED);
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}
