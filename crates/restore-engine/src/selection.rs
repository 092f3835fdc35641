//! Which topics are meant: include and exclude globs over the names of a cluster or of a backup.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::config::ClusterTopics;
use crate::error::{Error, Result, known_names};

/// Decides for each topic name whether it is meant.
#[derive(Debug)]
pub(crate) struct TopicSelection<'a> {
    wanted: &'a ClusterTopics,
    include: GlobSet,
    exclude: GlobSet,
}

impl<'a> TopicSelection<'a> {
    /// The globs were checked with the configuration.
    pub(crate) fn new(wanted: &'a ClusterTopics) -> Result<Self> {
        Ok(Self {
            wanted,
            include: set(&wanted.include)?,
            exclude: set(&wanted.exclude)?,
        })
    }

    /// `internal`: Kafka's own topics (`__consumer_offsets`, …) are meant only when they are named in full, as
    /// writing into another cluster's would break it.
    pub(crate) fn contains(&self, topic: &str, internal: bool) -> bool {
        let named = self.wanted.include.iter().any(|glob| glob == topic);
        (named || (!internal && self.include.is_match(topic))) && !self.exclude.is_match(topic)
    }

    /// The topics that are meant by their full names.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        let full = self.wanted.include.iter().filter(|entry| !has_wildcard(entry));
        full.map(String::as_str).filter(|name| self.contains(name, true))
    }

    /// An include entry that names a topic in full and finds none is an error: a backup or restore without it would look
    /// complete. For one with wildcards that finds none, a warning is returned.
    pub(crate) fn check_every_entry(&self, place: &str, all: &[String]) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for entry in &self.wanted.include {
            let glob = Glob::new(entry)
                .map_err(|e| Error::Internal(format!("glob {entry}: {e}")))?
                .compile_matcher();
            if all.iter().any(|topic| topic == entry || glob.is_match(topic)) {
                continue;
            }
            if has_wildcard(entry) {
                warnings.push(format!("`{entry}` matches no topic of {place}"));
            } else {
                return Err(Error::NoTopicMatches {
                    place: place.to_owned(),
                    include: vec![entry.clone()],
                    exclude: Vec::new(),
                    known: known_names("topics", all),
                });
            }
        }
        Ok(warnings)
    }

    /// The error for a selection that is empty; `place` and `all` say what it was taken from.
    pub(crate) fn nothing_matches(&self, place: &str, all: &[String]) -> Error {
        Error::NoTopicMatches {
            place: place.to_owned(),
            include: self.wanted.include.clone(),
            exclude: self.wanted.exclude.clone(),
            known: known_names("topics", all),
        }
    }
}

fn has_wildcard(entry: &str) -> bool {
    entry.contains(['*', '?', '[', '{'])
}

fn set(globs: &[String]) -> Result<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(Glob::new(glob).map_err(|e| Error::Internal(format!("glob {glob}: {e}")))?);
    }
    builder
        .build()
        .map_err(|e| Error::Internal(format!("globs {globs:?}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(include: &[&str], exclude: &[&str]) -> ClusterTopics {
        let own = |globs: &[&str]| globs.iter().map(|g| (*g).to_owned()).collect();
        ClusterTopics {
            security: kafka_wire::Security::default(),
            bootstrap_servers: Vec::new(),
            include: own(include),
            exclude: own(exclude),
        }
    }

    #[test]
    fn exclude_wins_and_internal_topics_must_be_named() {
        let wanted = topics(&["orders-*", "*.eu", "__consumer_offsets"], &["*-tmp"]);
        let selection = TopicSelection::new(&wanted).unwrap();
        assert!(selection.contains("orders-1", false));
        assert!(selection.contains("payments.eu", false));
        assert!(!selection.contains("orders-tmp", false));
        assert!(!selection.contains("orders", false));
        assert!(selection.contains("__consumer_offsets", true));
        let everything = topics(&["*"], &[]);
        let all = TopicSelection::new(&everything).unwrap();
        assert!(all.contains("a.b-c_d", false));
        assert!(!all.contains("__consumer_offsets", true));
        assert!(all.named().next().is_none());
        let wanted = topics(
            &["orders-*", "a", "b{1,2}", "__consumer_offsets", "c-tmp"],
            &["*-tmp"],
        );
        let selection = TopicSelection::new(&wanted).unwrap();
        assert!(selection.named().eq(["a", "__consumer_offsets"]));
    }
}
