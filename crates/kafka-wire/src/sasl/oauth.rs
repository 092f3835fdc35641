//! `OAUTHBEARER` (RFC 7628): a token in one message.

use std::collections::BTreeMap;

use super::Step;
use crate::error::ConnectionError;
use crate::secret::Secret;

/// Ends each part of a message.
const SEPARATOR: char = '\u{1}';
/// Whether a text can be a token at all.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// More of a broker's words than this is not shown.
const MOST_WORDS: usize = 500;

pub(crate) struct OauthExchange {
    pub(super) token: Secret,
    /// Whether there may be a newer one.
    pub(super) kept: bool,
    extensions: BTreeMap<String, String>,
    /// What the broker has against the token.
    said: Option<String>,
}

impl OauthExchange {
    pub(super) fn new(
        token: Secret,
        kept: bool,
        extensions: &BTreeMap<String, String>,
    ) -> Result<Self, ConnectionError> {
        if !is_token(token.reveal()) {
            return Err(ConnectionError::Authentication(
                "what was given as a token is none: it is empty, or has characters that a token cannot have (only the \
                 token must be printed or in the file, without a header and without quotes)"
                    .to_owned(),
            ));
        }
        Ok(Self {
            token,
            kept,
            extensions: extensions.clone(),
            said: None,
        })
    }

    pub(super) fn first(&self) -> Vec<u8> {
        let mut message = format!("n,,{SEPARATOR}auth=Bearer {}{SEPARATOR}", self.token.reveal());
        for (name, value) in &self.extensions {
            message.push_str(&format!("{name}={value}{SEPARATOR}"));
        }
        message.push(SEPARATOR);
        message.into_bytes()
    }

    /// Nothing means that the token is good. Otherwise the broker says in JSON what it has against it, wants an answer that
    /// has no meaning, and then refuses the login.
    pub(super) fn respond(&mut self, message: &[u8]) -> Result<Step, String> {
        match (&self.said, message) {
            (None, []) => Ok(Step::Done),
            (None, words) => {
                self.said = Some(shown(&String::from_utf8_lossy(words)));
                Ok(Step::Send(vec![1]))
            }
            (Some(said), _) => Err(format!("the broker does not accept the token: {said}")),
        }
    }

    pub(super) fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

/// Words that may go to a terminal.
pub(super) fn shown(words: &str) -> String {
    words
        .chars()
        .take(MOST_WORDS)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(token: &str) -> Result<OauthExchange, ConnectionError> {
        let extensions = BTreeMap::from([
            ("traceId".to_owned(), "1, 2".to_owned()),
            ("logicalCluster".to_owned(), "lkc".to_owned()),
        ]);
        OauthExchange::new(Secret::new(token), false, &extensions)
    }

    #[test]
    fn the_message_has_the_token_and_the_extensions() {
        let first = exchange("abc.def.").unwrap().first();
        assert_eq!(
            first,
            b"n,,\x01auth=Bearer abc.def.\x01logicalCluster=lkc\x01traceId=1, 2\x01\x01"
        );
        let alone = OauthExchange::new(Secret::new("abc"), false, &BTreeMap::new()).unwrap();
        assert_eq!(alone.first(), b"n,,\x01auth=Bearer abc\x01\x01");
    }

    #[test]
    fn an_error_is_answered_as_the_standard_says_and_shown() {
        let mut exchange = exchange("abc").unwrap();
        let answer = exchange.respond(b"{\"status\":\"invalid_token\"}\n");
        assert_eq!(answer, Ok(Step::Send(vec![1])));
        assert_eq!(exchange.said(), Some("{\"status\":\"invalid_token\"} "));
        assert!(exchange.respond(b"").unwrap_err().contains("invalid_token"));
    }

    #[test]
    fn a_good_token_needs_no_words() {
        assert_eq!(exchange("abc").unwrap().respond(b""), Ok(Step::Done));
    }

    #[test]
    fn what_cannot_be_a_token_is_refused_without_being_shown() {
        for token in ["", "marker marker", "marker\u{1}", "märker"] {
            let Err(error) = exchange(token) else {
                panic!("a token")
            };
            let words = error.to_string();
            assert!(words.contains("is none") && !words.contains("rker"), "{words}");
        }
    }
}
