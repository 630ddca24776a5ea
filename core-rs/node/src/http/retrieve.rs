//! What DICOMweb is asked for in the plainest way, by the UIDs of its path: see [`super::hot`].
//!
//! Metadata in JSON, frames of an instance, and studies, series and instances themselves as they are stored. What has
//! to be transcoded or is not there, every condition, range, parameter and preference among several forms is the
//! application's (`vna/rest/dicomweb`), which answers the same to what is answered here.

use hyper::header::{ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use vna_codec::{OCTET_STREAM, frame_media_type, media_type_syntaxes};
use vna_dicom::{EXPLICIT_VR_LITTLE_ENDIAN, is_uncompressed};
use vna_index::UidPath;

use super::web::WebPolicy;
use crate::web::{Form, Selection, Wanted, What};

/// What proxies tell of the address that they were called by.
const FORWARDED: [HeaderName; 5] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
];

/// Frames of one request beyond which it is looked at by the application.
const MOST_FRAMES: usize = 64;

/// Longest UID (PS3.5 §9.1).
const MAX_UID: usize = 64;

/// A plain request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RetrieveAsked {
    study: String,
    series: Option<String>,
    instance: Option<String>,
    of_it: OfIt,
    root: String,
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
        if segments.next().is_some() || FORWARDED.iter().any(|name| headers.contains_key(name)) {
            return None;
        }
        let accept = match one(headers, &ACCEPT)? {
            None => None,
            Some(text) => Accept::read(text)?,
        };
        Some(RetrieveAsked {
            study,
            series,
            instance,
            root: policy.service_root(headers)?,
            gzip: of_it == OfIt::Metadata && takes_gzip(headers)?,
            of_it,
            accept,
        })
        .filter(|_| !headers.contains_key(ACCEPT_CHARSET))
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
        let mut wanted = Wanted {
            what: What::Metadata,
            root: self.root.clone(),
            multipart: false,
            forms: std::collections::HashMap::new(),
            gzip: self.gzip,
        };
        let (stored_in, media_type) = match &self.of_it {
            OfIt::Metadata => {
                let is_json = self.accept.as_ref().is_none_or(|accept| {
                    !accept.multipart && accept.media_type == "application/dicom+json"
                });
                return (is_json && !syntaxes.is_empty())
                    .then(|| (wanted, "application/dicom+json".to_owned()));
            }
            OfIt::Itself if self.instance.is_none() || selection.len() != 1 => {
                return self.all_stored(policy, wanted, &syntaxes);
            }
            _ if syntaxes.len() != 1 || selection.len() != 1 => return None,
            OfIt::Itself => (syntaxes[0].0, "application/dicom"),
            OfIt::Frames(_) => (syntaxes[0].0, frame_media_type(syntaxes[0].0)),
        };
        let is_instance = self.of_it == OfIt::Itself;
        let stored_in = stored_in.trim_end_matches(['\0', ' ']);
        let is_default = |uid: &str| match is_instance {
            true => uid == EXPLICIT_VR_LITTLE_ENDIAN,
            // Native frames are given in little endian, whatever the data set is in.
            false => is_uncompressed(uid),
        };
        let (multipart, named) = match &self.accept {
            None if policy.stored_by_default || is_default(stored_in) => (true, media_type),
            None => return None,
            Some(accept) => {
                let named = accept.media_type.as_str();
                let is_it = named == media_type;
                let is_plain = !is_instance && named == OCTET_STREAM;
                let fits = match accept.transfer_syntax.as_deref() {
                    Some("*") => is_it || is_plain,
                    Some(uid) => uid == stored_in && (is_it || is_plain),
                    None if policy.stored_by_default => is_it || is_plain,
                    None if is_instance || is_plain => (is_it || is_plain) && is_default(stored_in),
                    None => is_it && media_type_syntaxes(named).contains(&stored_in),
                };
                if !fits {
                    return None;
                }
                (
                    accept.multipart,
                    if is_plain { OCTET_STREAM } else { media_type },
                )
            }
        };
        let given_in = match is_instance {
            false if is_uncompressed(stored_in) => EXPLICIT_VR_LITTLE_ENDIAN,
            _ => stored_in,
        };
        let content_type = format!("{named}; transfer-syntax={given_in}");
        let form = Form {
            transfer_syntax: None,
            content_type: content_type.clone(),
            may_lose: false,
        };
        wanted.forms.insert(syntaxes[0].0.to_owned(), form);
        wanted.multipart = multipart;
        wanted.what = match &self.of_it {
            OfIt::Frames(numbers) if multipart || numbers.len() == 1 => {
                What::Frames(numbers.clone())
            }
            OfIt::Itself => What::Instances,
            _ => return None,
        };
        let called = if multipart {
            format!("multipart/related; type=\"{named}\"")
        } else {
            content_type
        };
        Some((wanted, called))
    }

    /// The same of several instances as they are stored, if that is what is asked for.
    fn all_stored(
        &self,
        policy: &WebPolicy,
        mut wanted: Wanted,
        syntaxes: &[(&str, usize)],
    ) -> Option<(Wanted, String)> {
        const DICOM: &str = "application/dicom";
        let accept = self.accept.as_ref();
        let fits = accept.is_none_or(|accept| accept.multipart && accept.media_type == DICOM);
        let named = accept.and_then(|accept| accept.transfer_syntax.as_deref());
        let takes = |uid: &str| match named {
            Some(named) => named == "*" || named == uid,
            None => policy.stored_by_default || uid == EXPLICIT_VR_LITTLE_ENDIAN,
        };
        for (stored_in, _) in syntaxes {
            let uid = stored_in.trim_end_matches(['\0', ' ']);
            if !fits || !takes(uid) {
                return None;
            }
            let form = Form {
                transfer_syntax: None,
                content_type: format!("{DICOM}; transfer-syntax={uid}"),
                may_lose: false,
            };
            wanted.forms.insert((*stored_in).to_owned(), form);
        }
        wanted.multipart = true;
        wanted.what = What::Instances;
        let called = format!("multipart/related; type=\"{DICOM}\"");
        (!syntaxes.is_empty()).then_some((wanted, called))
    }
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
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
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

fn uid(text: &str) -> Option<String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (text.len() <= MAX_UID && text.split('.').all(is_number)).then(|| text.to_owned())
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
