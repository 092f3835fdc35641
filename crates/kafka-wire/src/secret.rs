//! What must not be seen.

use std::fmt;

/// A password, a token or a key: never shown by `Debug`, and not to be put into any message.
///
/// ```
/// use kafka_wire::Secret;
///
/// let password = Secret::new("s3cret");
/// assert_eq!(format!("{password:?}"), "(secret)");
/// assert_eq!(password.reveal(), "s3cret");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for whoever has to send it or to sign with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Removes the value from the words of somebody else, who may have repeated it.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        if self.0.is_empty() {
            text.to_owned()
        } else {
            text.replace(&self.0, "(secret)")
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_somebody_repeats_is_hidden() {
        let secret = Secret::new("abc");
        assert_eq!(
            secret.hide_in("no user with abcabc."),
            "no user with (secret)(secret)."
        );
        assert_eq!(Secret::new("").hide_in("nothing"), "nothing");
    }
}
