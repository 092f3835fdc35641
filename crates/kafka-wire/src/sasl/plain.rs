//! `PLAIN` (RFC 4616): name and password as they are.

use crate::config::Password;
use crate::secret::Secret;

pub(crate) struct PlainExchange {
    pub(super) username: String,
    pub(super) password: Secret,
}

impl PlainExchange {
    pub(super) fn new(login: &Password) -> Self {
        Self {
            username: login.username.clone(),
            password: login.password.clone(),
        }
    }

    /// An identity to act as (none), the name, the password.
    pub(super) fn first(&self) -> Vec<u8> {
        format!("\0{}\0{}", self.username, self.password.reveal()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SaslConfig;

    #[test]
    fn the_message_of_the_standard() {
        let SaslConfig::Plain(login) = SaslConfig::plain("tim", Secret::new("tanstaaftanstaaf")) else {
            panic!("another mechanism")
        };
        assert_eq!(PlainExchange::new(&login).first(), b"\0tim\0tanstaaftanstaaf");
    }
}
