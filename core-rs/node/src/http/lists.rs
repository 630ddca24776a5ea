//! Pages of lists and of the change feed, asked for in the plainest way: see [`super::hot`].

use vna_dicom::{Level, PublicId};
use vna_index::{ChangesRequest, Page};

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::find::{ListOptions, list_json, related_json};

/// Changes that are given if the request does not say how many, as the application has it.
const CHANGES: u64 = 100;

/// Resources of a short list.
const SHORT: u64 = 1_000;

/// Entries of a list that takes some tens of microseconds.
const TINY: u64 = 100;

/// A list that a request names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum List {
    Changes {
        since: Option<i64>,
        limit: u64,
    },
    Level {
        level: Level,
        page: Page,
        expand: bool,
    },
    Related {
        level: Level,
        id: PublicId,
        related: Level,
        expand: bool,
    },
}

impl List {
    /// The list of a path and query; `None` also for what needs a decision.
    pub fn asked(path: &str, query: Option<&str>) -> Option<List> {
        let parameters = Parameters::read(query.unwrap_or(""))?;
        if path == "/changes" {
            if parameters.expand.is_some() {
                return None;
            }
            return Some(List::Changes {
                since: parameters.since.map(i64::try_from).transpose().ok()?,
                limit: parameters.limit.unwrap_or(CHANGES),
            });
        }
        let mut segments = path.strip_prefix('/')?.split('/');
        let level = plural(segments.next()?)?;
        let (id, related) = (segments.next(), segments.next());
        if segments.next().is_some() {
            return None;
        }
        match (id, related, parameters.since, parameters.limit) {
            (None, None, since, limit) if since.is_some() == limit.is_some() => Some(List::Level {
                level,
                page: Page {
                    since: since.unwrap_or(0),
                    limit: limit.unwrap_or(0),
                },
                expand: parameters.expand.unwrap_or(false),
            }),
            (Some(id), Some(related), None, None) => {
                let related = match related {
                    "patient" if level > Level::Patient => Level::Patient,
                    "study" if level > Level::Study => Level::Study,
                    "series" if level > Level::Series => Level::Series,
                    below => plural(below).filter(|below| *below > level)?,
                };
                Some(List::Related {
                    level,
                    id: id.parse().ok()?,
                    related,
                    expand: parameters.expand.unwrap_or(true),
                })
            }
            _ => None,
        }
    }

    /// Whether it takes so little that it is not worth another thread.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn is_tiny(&self, archive: &Archive, tenant: i64) -> Result<bool, ArchiveError> {
        Ok(match self {
            List::Changes { limit, .. } => *limit <= TINY,
            List::Level {
                level,
                page,
                expand,
            } => {
                let most = if *expand { TINY / 10 } else { TINY };
                let asked = page.limit > 0 && page.since.saturating_add(page.limit) <= most;
                asked || resources(archive, tenant, *level)? <= most
            }
            List::Related { level, related, .. } => related < level,
        })
    }

    /// Whether it is short for certain: others go where long searches wait for each other.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn is_short(&self, archive: &Archive, tenant: i64) -> Result<bool, ArchiveError> {
        Ok(match self {
            List::Changes { limit, .. } => *limit <= SHORT,
            List::Level { level, page, .. } => {
                resources(archive, tenant, *level)? <= SHORT
                    || (page.limit > 0 && page.since.saturating_add(page.limit) <= SHORT)
            }
            List::Related {
                level,
                related,
                expand,
                ..
            } => {
                related < level || *related != Level::Instance || *level == Level::Series || !expand
            }
        })
    }

    /// The answer in JSON. Waits for the disk.
    ///
    /// # Errors
    ///
    /// What the index says.
    pub fn json(&self, archive: &Archive, tenant: i64) -> Result<Vec<u8>, ArchiveError> {
        match *self {
            List::Changes { since, limit } => {
                let request = ChangesRequest {
                    since,
                    limit,
                    ..ChangesRequest::default()
                };
                Ok(archive.index().changes_json(tenant, &request)?)
            }
            List::Level {
                level,
                page,
                expand,
            } => list_json(archive, tenant, level, page, &options(expand)),
            List::Related {
                level,
                ref id,
                related,
                expand,
            } => related_json(archive, tenant, level, id, related, &options(expand)),
        }
    }
}

/// How many resources of a level there are.
fn resources(archive: &Archive, tenant: i64, level: Level) -> Result<u64, ArchiveError> {
    let held = archive.index().statistics(tenant)?;
    Ok(match level {
        Level::Patient => held.patients,
        Level::Study => held.studies,
        Level::Series => held.series,
        Level::Instance => held.instances,
    })
}

fn options(expand: bool) -> ListOptions {
    ListOptions {
        expand,
        ..ListOptions::default()
    }
}

fn plural(name: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| level.plural() == name)
}

/// What a query may say, each once.
#[derive(Default)]
struct Parameters {
    since: Option<u64>,
    limit: Option<u64>,
    expand: Option<bool>,
}

impl Parameters {
    fn read(query: &str) -> Option<Parameters> {
        let mut found = Parameters::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let number = || {
                let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                value.parse::<u64>().ok().filter(|_| is_plain)
            };
            match name {
                "since" if found.since.is_none() => found.since = Some(number()?),
                "limit" if found.limit.is_none() => found.limit = Some(number()?),
                "expand" if found.expand.is_none() => {
                    found.expand = Some(match value {
                        "" | "1" | "true" => true,
                        "0" | "false" => false,
                        _ => return None,
                    });
                }
                _ => return None,
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "66a662ce-7430e543-bad44d47-0dc5a943-ec7a538d";

    #[test]
    fn plain_lists_are_taken() {
        let page = |since, limit| Page { since, limit };
        let level = |page, expand| {
            Some(List::Level {
                level: Level::Study,
                page,
                expand,
            })
        };
        assert_eq!(List::asked("/studies", None), level(page(0, 0), false));
        assert_eq!(
            List::asked("/studies", Some("since=4&limit=10&expand")),
            level(page(4, 10), true)
        );
        assert_eq!(
            List::asked("/changes", Some("since=7")),
            Some(List::Changes {
                since: Some(7),
                limit: 100
            })
        );
        assert_eq!(
            List::asked(&format!("/series/{ID}/instances"), Some("expand=false")),
            Some(List::Related {
                level: Level::Series,
                id: ID.parse().expect("an id"),
                related: Level::Instance,
                expand: false
            })
        );
    }

    #[test]
    fn what_needs_a_decision_is_left_to_the_application() {
        for (path, query) in [
            ("/studies", "since=4"),
            ("/studies", "limit=4"),
            ("/studies", "since=-1&limit=4"),
            ("/studies", "since=1&since=2&limit=4"),
            ("/studies", "expand=maybe"),
            ("/studies", "full"),
            ("/studies/", ""),
            ("/changes", "last"),
            ("/changes", "type=NewStudy"),
            ("/changes", "expand"),
            ("/changes", "since=99999999999999999999"),
        ] {
            assert_eq!(List::asked(path, Some(query)), None, "{path}?{query}");
        }
        for path in [
            format!("/series/{ID}/studies"),
            format!("/studies/{ID}/series/"),
            format!("/studies/{ID}/archive"),
            "/series/x/instances".to_owned(),
        ] {
            assert_eq!(List::asked(&path, None), None, "{path}");
        }
    }
}
