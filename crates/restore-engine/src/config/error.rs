//! What can be wrong with a configuration file, said so that it can be put right at once.

use std::path::{Path, PathBuf};

use super::file::KEYS;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large to be a configuration.
    #[error("{} has {bytes} bytes; a configuration file has at most {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// Not YAML, or not of the documented shape.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// A value that cannot be used.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which key and what to write instead.
        problem: String,
    },
    /// A configuration of the other mode.
    #[error("the configuration says `mode: {is}`, but this command needs `mode: {wanted}`")]
    Mode {
        /// What the file says.
        is: &'static str,
        /// What the command needs.
        wanted: &'static str,
    },
}

impl ConfigError {
    pub(super) fn from_yaml(path: &Path, message: &str) -> Self {
        Self::Syntax {
            path: path.to_owned(),
            problem: with_suggestion(message),
        }
    }
}

/// serde says "unknown field `x`, expected one of `a`, `b`": adds the nearest known key, or where the key belongs.
fn with_suggestion(message: &str) -> String {
    let Some((before, rest)) = message.split_once("unknown field `") else {
        return message.to_owned();
    };
    let Some((unknown, rest)) = rest.split_once('`') else {
        return message.to_owned();
    };
    let place = rest
        .rsplit_once(" at line ")
        .map_or(String::new(), |(_, place)| format!(" (line {place})"));
    let section = before
        .trim_end_matches(": ")
        .rsplit('.')
        .next()
        .unwrap_or_default();
    let hint = hint_for(section, unknown);
    format!("{before}unknown key `{unknown}`{place}: {hint}")
}

fn hint_for(section: &str, unknown: &str) -> String {
    let known = KEYS
        .iter()
        .find(|(name, _)| *name == section)
        .map_or(&[] as &[&str], |(_, keys)| keys);
    if let Some(near) = nearest(unknown, known) {
        return format!("did you mean `{near}`?");
    }
    if let Some((home, _)) = KEYS.iter().find(|(_, keys)| keys.contains(&unknown)) {
        return match *home {
            "" => format!("`{unknown}` belongs at the top level of the file"),
            home => format!("`{unknown}` belongs under `{home}:`"),
        };
    }
    let everywhere: Vec<&str> = KEYS.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    match nearest(unknown, &everywhere) {
        Some(near) => format!(
            "did you mean `{near}`? The keys known here are {}",
            known.join(", ")
        ),
        None => format!("the keys known here are {}", known.join(", ")),
    }
}

/// The known word most like `word`, if any is like it at all.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|k| (strsim::normalized_damerau_levenshtein(word, k), *k))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// "key: `x` is not one of a, b", with the nearest when there is one.
pub(super) fn not_one_of(key: &str, value: &str, known: &[&str]) -> String {
    let hint = nearest(value, known).map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
    format!("{key}: `{value}` is not one of {}{hint}", known.join(", "))
}
