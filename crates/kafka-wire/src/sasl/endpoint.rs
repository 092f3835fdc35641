//! A token endpoint of OAuth 2, asked with the grant `client_credentials` (RFC 6749, section 4.4).

use std::fmt;
use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use super::NAME;
use super::keeper::Issued;
use super::oauth::shown;
use super::token::LARGEST_TOKEN;
use crate::config::{ClientCredentials, TlsConfig};
use crate::error::{ConnectionError, Error};
use crate::secret::Secret;
use crate::tls::Tls;

/// Where to ask, and with what.
pub(super) struct Endpoint {
    url: Uri,
    host: String,
    port: u16,
    /// `None` for `http://`.
    tls: Option<Tls>,
    client_secret: Secret,
    authorization: HeaderValue,
    body: Bytes,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.shown())
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Checks the address, and reads the file of trusted authorities. Blocks.
    pub(super) fn load(asked: &ClientCredentials) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::InvalidConfig {
            setting: "security.sasl",
            reason: format!("the address of the token endpoint {reason}"),
        };
        let url: Uri =
            (asked.endpoint_url.parse()).map_err(|_| wrong("is not of the form https://host/path"))?;
        let authority = url
            .authority()
            .ok_or_else(|| wrong("does not begin with https:// or http://"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not contain a name or a password"));
        }
        let secure = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("does not begin with https:// or http://")),
        };
        let tls = TlsConfig {
            ca_file: asked.ca_file.clone(),
            client_certificate: None,
        };
        let tls = secure.then(|| Tls::load_for_endpoint(&tls)).transpose()?;
        let pair = format!(
            "{}:{}",
            encoded(&asked.client_id),
            encoded(asked.client_secret.reveal())
        );
        let mut authorization = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
            .map_err(|_| wrong("cannot be asked with these credentials"))?;
        authorization.set_sensitive(true);
        let mut body = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &asked.scope {
            body.push_str(&format!("&scope={}", encoded(scope)));
        }
        Ok(Self {
            // An IPv6 address is in brackets here, and not where it is used.
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            tls,
            client_secret: asked.client_secret.clone(),
            authorization,
            body: body.into(),
            url,
        })
    }

    /// Asks for a token.
    pub(super) async fn ask(&self) -> Result<Issued<Secret>, ConnectionError> {
        let stream = self.connect().await.map_err(|error| self.unreachable(&error))?;
        let (status, body) = match &self.tls {
            None => self.post(stream).await?,
            Some(tls) => {
                let stream = tls
                    .connect(stream, &self.host)
                    .await
                    .map_err(|error| match error {
                        ConnectionError::Tls(what) => self.permanent(&what),
                        other => self.passing(&format!("cannot be asked: {other}")),
                    })?;
                self.post(stream).await?
            }
        };
        self.read(status, &body)
    }

    /// The first address of the host that takes a connection.
    async fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn post<S>(&self, stream: S) -> Result<(StatusCode, Bytes), ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = |error: hyper::Error| self.passing(&format!("cannot be asked: {error}"));
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let request = Request::post(path)
            .header(HOST, authority)
            .header(USER_AGENT, NAME)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(AUTHORIZATION, self.authorization.clone())
            .body(Full::new(self.body.clone()))
            .map_err(|error| self.permanent(&format!("cannot be asked: {error}")))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let limit = usize::try_from(LARGEST_TOKEN).unwrap_or(usize::MAX);
            let body = Limited::new(response.into_body(), limit).collect().await;
            // The sender goes with this block, and the connection ends with the sender.
            Ok((status, body))
        };
        let (answer, _) = tokio::join!(exchange, connection);
        let (status, body) = answer.map_err(failed)?;
        let body =
            body.map_err(|error| self.passing(&format!("gave an answer that cannot be read: {error}")))?;
        Ok((status, body.to_bytes()))
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Issued<Secret>, ConnectionError> {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let text = |key: &str| json.as_ref()?.get(key)?.as_str().filter(|text| !text.is_empty());
        if status.is_success() {
            let token = text("access_token").ok_or_else(|| {
                self.permanent("gave an answer without an access_token: is it one of OAuth 2?")
            })?;
            let lifetime = json
                .as_ref()
                .and_then(|json| json.get("expires_in"))
                .and_then(seconds);
            return Ok(Issued {
                thing: Secret::new(token),
                lifetime,
            });
        }
        let mut said = format!("answered with status {}", status.as_u16());
        for key in ["error", "error_description"] {
            if let Some(words) = text(key) {
                said.push_str(&format!(": {}", shown(&self.client_secret.hide_in(words))));
            }
        }
        Err(match status.as_u16() {
            408 | 425 | 429 | 500.. => self.passing(&said),
            300..400 => self.permanent(&format!(
                "{said}: redirects are not followed, give the final address"
            )),
            _ => self.permanent(&format!(
                "{said}: check sasl_oauthbearer_token_endpoint_url, sasl_oauthbearer_client_id, \
                 sasl_oauthbearer_client_secret and sasl_oauthbearer_scope"
            )),
        })
    }

    fn unreachable(&self, error: &io::Error) -> ConnectionError {
        self.passing(&format!("cannot be reached: {error}"))
    }

    fn passing(&self, what: &str) -> ConnectionError {
        ConnectionError::Token(format!("the token endpoint {} {what}", self.shown()))
    }

    fn permanent(&self, what: &str) -> ConnectionError {
        ConnectionError::Authentication(format!(
            "nothing to log in with: the token endpoint {} {what}",
            self.shown()
        ))
    }

    /// The address without a query, in which somebody may have put a key.
    fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}{}", self.url.path())
    }
}

/// Some endpoints write numbers as text.
fn seconds(value: &Value) -> Option<Duration> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    Duration::try_from_secs_f64(number).ok()
}

/// As in the body of a form, which is how credentials have to be written also in the header.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, Error> {
        let mut asked = ClientCredentials::new(url, "me", Secret::new("marker"));
        asked.scope = Some("a b&c".to_owned());
        Endpoint::load(&asked)
    }

    #[test]
    fn an_address_that_cannot_be_asked_is_refused() {
        for (url, says) in [
            ("idp/token", "https://"),
            ("ftp://idp/token", "https://"),
            ("https://user:marker@idp/token", "name or a password"),
            ("https://id p/", "of the form"),
            ("", "of the form"),
        ] {
            let error = endpoint(url).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("marker"), "{error}");
        }
    }

    #[test]
    fn credentials_and_scope_are_encoded() {
        let endpoint = endpoint("http://[::1]:8080/token?key=hidden").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 8080));
        assert_eq!(&endpoint.body[..], b"grant_type=client_credentials&scope=a+b%26c");
        assert_eq!(endpoint.shown(), "http://[::1]:8080/token");
        assert_eq!(encoded("a:b=ü%"), "a%3Ab%3D%C3%BC%25");
        let shown = format!("{endpoint:?} {endpoint:#?}");
        assert!(!shown.contains("marker") && !shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn answers_are_told_apart() {
        let endpoint = endpoint("http://idp/token").unwrap();
        let good = endpoint
            .read(StatusCode::OK, b"{\"access_token\":\"t\",\"expires_in\":\"60\"}")
            .unwrap();
        assert_eq!(good.thing.reveal(), "t");
        assert_eq!(good.lifetime, Some(Duration::from_secs(60)));
        let said = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            match endpoint.read(status, body.as_bytes()) {
                Err(ConnectionError::Token(words)) => ("passes", words),
                Err(ConnectionError::Authentication(words)) => ("stays", words),
                _ => panic!("{status} {body}"),
            }
        };
        let refusal = "{\"error\":\"invalid_client\",\"error_description\":\"no marker\"}";
        for (status, body, kind, says) in [
            (401, refusal, "stays", "401: invalid_client: no (secret): check"),
            (503, "", "passes", "503"),
            (302, "", "stays", "redirects"),
            (200, "<html>", "stays", "without an access_token"),
            (200, "{\"access_token\":5}", "stays", "without an access_token"),
        ] {
            let (is, words) = said(status, body);
            assert!(
                is == kind && words.contains(says) && !words.contains("marker"),
                "{is}: {words}"
            );
        }
    }
}
