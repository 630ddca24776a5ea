//! What DICOMweb is asked for in the plainest way, by the UIDs of its path: see [`super::hot`].
//!
//! Metadata in JSON, frames of an instance, and studies, series and instances themselves as they are stored. What has
//! to be transcoded or is not there, every condition, range, parameter and preference among several forms is the
//! application's (`vna/rest/dicomweb`), which answers the same to what is answered here.

use std::collections::HashMap;

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use vna_codec::{OCTET_STREAM, frame_media_type, media_type_syntaxes};
use vna_dicom::{EXPLICIT_VR_LITTLE_ENDIAN, is_uncompressed};
use vna_index::UidPath;

use super::web::{WebPolicy, is_plain, uid};
use crate::web::{Form, Selection, Wanted, What};

const DICOM: &str = "application/dicom";
const JSON: &str = "application/dicom+json";

/// Frames of one request beyond which it is looked at by the application.
const MOST_FRAMES: usize = 64;

/// A plain request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RetrieveAsked {
    study: String,
    series: Option<String>,
    instance: Option<String>,
    of_it: OfIt,
    root: String,
    /// Its address, as the client called us.
    pub location: String,
    accept: Option<Accept>,
    gzip: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum OfIt {
    Itself,
    Metadata,
    Frames(Vec<u64>),
}

/// The one form that a request accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Accept {
    media_type: String,
    multipart: bool,
    transfer_syntax: Option<String>,
}

impl RetrieveAsked {
    /// Reads a request; `None` if it is not plain.
    pub fn read(policy: &WebPolicy, path: &str, headers: &HeaderMap) -> Option<RetrieveAsked> {
        let rest = path.strip_prefix(policy.root.as_str())?;
        let mut segments = rest.strip_prefix("/studies/")?.split('/');
        let study = uid(segments.next()?)?;
        let (mut series, mut instance) = (None, None);
        let mut what = segments.next();
        if what == Some("series") {
            series = Some(uid(segments.next()?)?);
            what = segments.next();
        }
        if series.is_some() && what == Some("instances") {
            instance = Some(uid(segments.next()?)?);
            what = segments.next();
        }
        let of_it = match (what, segments.next()) {
            (Some("metadata"), None) => OfIt::Metadata,
            (Some("frames"), Some(list)) if instance.is_some() => OfIt::Frames(frames(list)?),
            (None, None) => OfIt::Itself,
            _ => return None,
        };
        if segments.next().is_some() || !is_plain(headers) {
            return None;
        }
        let accept = match one(headers, &ACCEPT)? {
            None => None,
            Some(text) => Accept::read(text)?,
        };
        let root = policy.service_root(headers)?;
        Some(RetrieveAsked {
            study,
            series,
            instance,
            location: format!("{root}{rest}"),
            root,
            gzip: of_it == OfIt::Metadata && takes_gzip(headers)?,
            of_it,
            accept,
        })
    }

    /// The UIDs of its path.
    pub fn path(&self) -> UidPath<'_> {
        UidPath {
            study: &self.study,
            series: self.series.as_deref(),
            instance: self.instance.as_deref(),
        }
    }

    /// Whether what is found may be much.
    pub fn is_long(&self) -> bool {
        self.instance.is_none()
    }

    /// What is wanted of what was found, and how it is called; `None` if there is something to decide.
    pub fn wanted(&self, policy: &WebPolicy, selection: &Selection) -> Option<(Wanted, String)> {
        let syntaxes = selection.transfer_syntaxes();
        let is_one = self.instance.is_some() && selection.len() == 1;
        match (&self.of_it, syntaxes.as_slice()) {
            (_, []) => None,
            (OfIt::Metadata, _) => self.metadata(),
            (OfIt::Itself, _) => self.instances(policy, &syntaxes, is_one),
            (OfIt::Frames(numbers), [(stored, _)]) if is_one => {
                self.frames(policy, stored, numbers)
            }
            (OfIt::Frames(_), _) => None,
        }
    }

    fn metadata(&self) -> Option<(Wanted, String)> {
        let accept = self.accept.as_ref();
        let is_json = accept.is_none_or(|accept| !accept.multipart && accept.media_type == JSON);
        is_json.then(|| {
            (
                self.asks(What::Metadata, false, HashMap::new()),
                JSON.to_owned(),
            )
        })
    }

    /// Instances as they are stored, if that is what is asked for: as parts, or the one that there is.
    fn instances(
        &self,
        policy: &WebPolicy,
        syntaxes: &[(&str, usize)],
        is_one: bool,
    ) -> Option<(Wanted, String)> {
        let accept = self.accept.as_ref();
        let is_named = accept.is_none_or(|accept| accept.media_type == DICOM);
        let multipart = accept.is_none_or(|accept| accept.multipart);
        if !is_named || !(multipart || is_one) {
            return None;
        }
        let named = accept.and_then(|accept| accept.transfer_syntax.as_deref());
        let fits = |stored_in: &str| match named {
            Some(named) => named == "*" || named == stored_in,
            None => policy.stored_by_default || stored_in == EXPLICIT_VR_LITTLE_ENDIAN,
        };
        let form = |(stored, _): &(&str, usize)| {
            let stored_in = unpadded(stored);
            fits(stored_in).then(|| ((*stored).to_owned(), as_stored(DICOM, stored_in)))
        };
        let forms = syntaxes.iter().map(form).collect::<Option<_>>()?;
        let wanted = self.asks(What::Instances, multipart, forms);
        let called = called(&wanted, DICOM);
        Some((wanted, called))
    }

    /// Frames of one instance as they are stored, if that is what is asked for.
    fn frames(
        &self,
        policy: &WebPolicy,
        stored: &str,
        numbers: &[u64],
    ) -> Option<(Wanted, String)> {
        let stored_in = unpadded(stored);
        let own = frame_media_type(stored_in);
        let is_native = is_uncompressed(stored_in);
        let (multipart, media_type) = match &self.accept {
            None if policy.stored_by_default || is_native => (true, own),
            None => return None,
            Some(accept) => {
                let named = accept.media_type.as_str();
                let fits = match accept.transfer_syntax.as_deref() {
                    Some(uid) => uid == "*" || uid == stored_in,
                    None if policy.stored_by_default => true,
                    None if named == OCTET_STREAM => is_native,
                    None => media_type_syntaxes(named).contains(&stored_in),
                };
                let media_type = [own, OCTET_STREAM].into_iter().find(|it| *it == named);
                (accept.multipart, media_type.filter(|_| fits)?)
            }
        };
        if !multipart && numbers.len() != 1 {
            return None;
        }
        // Native frames are given in little endian, whatever the data set is in.
        let given_in = match is_native {
            true => EXPLICIT_VR_LITTLE_ENDIAN,
            false => stored_in,
        };
        let forms = HashMap::from([(stored.to_owned(), as_stored(media_type, given_in))]);
        let wanted = self.asks(What::Frames(numbers.to_vec()), multipart, forms);
        let called = called(&wanted, media_type);
        Some((wanted, called))
    }

    fn asks(&self, what: What, multipart: bool, forms: HashMap<String, Form>) -> Wanted {
        Wanted {
            what,
            root: self.root.clone(),
            multipart,
            forms,
            gzip: self.gzip,
        }
    }
}

/// A form in which nothing is changed.
fn as_stored(media_type: &str, given_in: &str) -> Form {
    Form {
        transfer_syntax: None,
        content_type: format!("{media_type}; transfer-syntax={given_in}"),
        may_lose: false,
    }
}

/// The Content-Type of an answer, without a boundary.
fn called(wanted: &Wanted, media_type: &str) -> String {
    let only = wanted.forms.values().next();
    match only.filter(|_| !wanted.multipart) {
        Some(form) => form.content_type.clone(),
        None => format!("multipart/related; type=\"{media_type}\""),
    }
}

/// A UID without what makes its length even.
fn unpadded(uid: &str) -> &str {
    uid.trim_end_matches(['\0', ' '])
}

impl Accept {
    /// One form, said plainly; `None` of several, or of preferences. Anything is `Some(None)`.
    fn read(text: &str) -> Option<Option<Accept>> {
        if text == "*/*" {
            return Some(None);
        }
        if text.contains([',', '\\']) {
            return None;
        }
        let mut parts = text.split(';');
        let name = parts.next()?.trim().to_ascii_lowercase();
        let (mut of_parts, mut transfer_syntax) = (None, None);
        for part in parts {
            let (key, value) = part.split_once('=')?;
            let value = value.trim();
            let value = match value.strip_prefix('"') {
                Some(quoted) => quoted.strip_suffix('"')?,
                None => value,
            };
            match key.trim().to_ascii_lowercase().as_str() {
                "type" if of_parts.is_none() => of_parts = Some(value.to_ascii_lowercase()),
                "transfer-syntax" if transfer_syntax.is_none() => {
                    transfer_syntax = Some(value.to_owned());
                }
                _ => return None,
            }
        }
        let multipart = name == "multipart/related";
        let media_type = match (multipart, of_parts) {
            (true, Some(of_parts)) => of_parts,
            (false, None) => name,
            _ => return None,
        };
        Some(Some(Accept {
            media_type,
            multipart,
            transfer_syntax,
        }))
    }
}

/// The value of a header that is there once, or not at all.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::to_str);
    match (first, values.next()) {
        (None, None) => Some(None),
        (Some(Ok(text)), None) => Some(Some(text.trim())),
        _ => None,
    }
}

/// Whether an answer may be compressed with gzip; `None` if there are preferences.
fn takes_gzip(headers: &HeaderMap) -> Option<bool> {
    let Some(text) = one(headers, &ACCEPT_ENCODING)? else {
        return Some(false);
    };
    if text.contains("q=") || text.contains("Q=") {
        return None;
    }
    let mut codings = text.split(',').map(str::trim);
    let is_gzip = |coding: &str| {
        ["gzip", "x-gzip"]
            .iter()
            .any(|name| coding.eq_ignore_ascii_case(name))
    };
    Some(codings.any(is_gzip))
}

fn frames(list: &str) -> Option<Vec<u64>> {
    let number = |text: &str| {
        let is_plain = text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| is_plain && *number > 0)
    };
    let numbers: Vec<u64> = list.split(',').map(number).collect::<Option<_>>()?;
    (numbers.len() <= MOST_FRAMES).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HOST;

    fn policy() -> WebPolicy {
        WebPolicy {
            root: "/dicom-web".to_owned(),
            public_url: String::new(),
            scheme: "http".to_owned(),
            max_results: 1_000,
            stored_by_default: false,
        }
    }

    fn asked(path: &str, headers: &[(&'static str, &'static str)]) -> Option<RetrieveAsked> {
        let mut map = HeaderMap::new();
        map.insert(HOST, HeaderValue::from_static("pacs:8042"));
        for (name, value) in headers {
            let name = HeaderName::from_static(name);
            map.append(name, HeaderValue::from_static(value));
        }
        RetrieveAsked::read(&policy(), path, &map)
    }

    #[test]
    fn plain_paths_are_taken() {
        let series = asked("/dicom-web/studies/1.2/series/1.3/metadata", &[]).unwrap();
        assert_eq!(series.root, "http://pacs:8042/dicom-web");
        let called = "http://pacs:8042/dicom-web/studies/1.2/series/1.3/metadata";
        assert_eq!(series.location, called);
        assert_eq!((series.of_it, series.gzip), (OfIt::Metadata, false));
        for path in [
            "/dicom-web/studies/1.2",
            "/dicom-web/studies/1.2/series/1.3",
        ] {
            assert_eq!(asked(path, &[]).unwrap().of_it, OfIt::Itself);
            let metadata = asked(&format!("{path}/metadata"), &[]).unwrap();
            assert_eq!(metadata.of_it, OfIt::Metadata);
        }
        let instance = "/dicom-web/studies/1.2/series/1.3/instances/1.4";
        let frames = asked(&format!("{instance}/frames/3,1"), &[]).unwrap();
        assert_eq!(frames.of_it, OfIt::Frames(vec![3, 1]));
        let gzip = [("accept-encoding", "deflate, gzip")];
        let found = asked(&format!("{instance}/metadata"), &gzip).unwrap();
        assert!(found.gzip && found.instance.as_deref() == Some("1.4"));
        assert_eq!(asked(instance, &gzip).map(|found| found.gzip), Some(false));
    }

    #[test]
    fn what_needs_a_decision_is_left_to_the_application() {
        let instance = "/dicom-web/studies/1.2/series/1.3/instances/1.4";
        for path in [
            "/dicom-web/studies/1.2/instances/1.4",
            "/dicom-web/studies/1.2/frames/1",
            "/dicom-web/studies/1.2/rendered",
            "/dicom-web/studies/1.2/series/1.3/metadata/",
            "/dicom-web/studies/1.2a/series/1.3/metadata",
            "/dicom-web/studies/1..2/series/1.3/metadata",
            "/other/studies/1.2/series/1.3/metadata",
            &format!("{instance}/frames/0"),
            &format!("{instance}/frames/1,"),
            &format!("{instance}/frames/+1"),
            &format!("{instance}/frames/1/rendered"),
            &format!("{instance}/bulkdata"),
        ] {
            assert_eq!(asked(path, &[]), None, "{path}");
        }
        for header in [
            ("accept", "application/dicom+json, */*"),
            ("accept", "application/dicom+json; q=0.5"),
            ("accept", "multipart/related"),
            ("accept-charset", "latin1"),
            ("accept-encoding", "gzip;q=0.5"),
            ("x-forwarded-host", "elsewhere"),
        ] {
            let path = format!("{instance}/metadata");
            assert_eq!(asked(&path, &[header]), None, "{header:?}");
        }
    }

    #[test]
    fn a_form_is_read_quoted_or_not() {
        let quoted = Accept::read("multipart/related; type=\"image/jls\"; transfer-syntax=*");
        let plain = Accept::read("multipart/related;transfer-syntax=*;type=Image/JLS");
        assert_eq!(quoted, plain);
        let read = quoted.flatten().unwrap();
        assert_eq!(
            (read.media_type.as_str(), read.multipart),
            ("image/jls", true)
        );
        assert_eq!(Accept::read("*/*"), Some(None));
        assert_eq!(Accept::read("image/jls; type"), None);
    }
}
