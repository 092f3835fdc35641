//! How long a token is good, if it says so itself (RFC 7519). Nothing is verified: that is the broker's part.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// How much longer a token is good, counted from `now`; `None` when it does not say. Zero when it has expired.
pub(super) fn lifetime(token: &str, now: SystemTime) -> Option<Duration> {
    let claims = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let ends = Duration::try_from_secs_f64(claims.get("exp")?.as_f64()?).ok()?;
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(ends.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_claim_counts_from_now() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        for (claims, seconds) in [
            ("{\"exp\":1060}", Some(60.0)),
            ("{\"exp\":1060.5}", Some(60.5)),
            ("{\"exp\":900}", Some(0.0)),
            ("{\"exp\":-1}", None),
            ("{\"exp\":1e300}", None),
            ("{\"exp\":\"1060\"}", None),
            ("{}", None),
            ("[", None),
        ] {
            assert_eq!(
                lifetime(&token(claims), now).map(|left| left.as_secs_f64()),
                seconds,
                "{claims}"
            );
        }
    }

    #[test]
    fn what_is_no_such_token_does_not_say() {
        for token in ["", "opaque", "a.b", "a.%%%.c", "..."] {
            assert_eq!(lifetime(token, SystemTime::now()), None);
        }
    }
}
