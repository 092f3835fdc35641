//! A scripted broker on a loopback port, for what real brokers do too rarely to test with them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::api::{Api, TABLE};

/// A request as the broker saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) api_key: i16,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) body: Bytes,
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn is<R: Api>(&self) -> bool {
        self.api_key == R::KEY
    }

    pub(crate) fn read<R: Api + Decodable>(&self) -> R {
        R::decode(&mut self.body.clone(), self.version).expect("a request")
    }

    /// An answer of the same version.
    pub(crate) fn answer<M: Encodable>(&self, response: &M) -> Reply {
        let mut body = BytesMut::new();
        response
            .encode(&mut body, self.version)
            .expect("an encodable response");
        Reply::Body(body.freeze())
    }
}

/// What a broker does about a request.
pub(crate) enum Reply {
    /// A response with this body.
    Body(Bytes),
    /// Nothing.
    Silence,
    /// Closes the connection.
    HangUp,
    /// Asks the script again after this time, and takes nothing else of the connection meanwhile.
    Later(Duration),
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A broker that answers as a function says. It stops when it is dropped.
pub(crate) struct FakeBroker {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<VecDeque<Seen>>>,
    task: AbortHandle,
}

impl FakeBroker {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::serve(listener, script)
    }

    pub(crate) fn serve(
        listener: TcpListener,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Mutex<VecDeque<Seen>>>::default();
        let script: Arc<Script> = Arc::new(script);
        let log = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else {
                    break;
                };
                connections.spawn(serve_connection(
                    stream,
                    connection,
                    Arc::clone(&script),
                    Arc::clone(&log),
                ));
            }
        });
        Self {
            address,
            seen,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn server(&self) -> String {
        self.address.to_string()
    }

    /// Every request so far, in the order in which they came.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().cloned().collect()
    }

    /// How many requests of one API came.
    pub(crate) fn count<R: Api>(&self) -> usize {
        self.seen().iter().filter(|seen| seen.is::<R>()).count()
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve_connection(
    mut stream: TcpStream,
    connection: usize,
    script: Arc<Script>,
    log: Arc<Mutex<VecDeque<Seen>>>,
) {
    while let Ok(length) = stream.read_u32().await {
        let mut frame = vec![0; length as usize];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let seen = parse(Bytes::from(frame), connection);
        log.lock().unwrap().push_back(seen.clone());
        let mut reply = script(&seen);
        while let Reply::Later(pause) = reply {
            tokio::time::sleep(pause).await;
            reply = script(&seen);
        }
        let bytes = match reply {
            Reply::Body(body) => framed(&seen, &body),
            Reply::Silence | Reply::Later(_) => continue,
            Reply::HangUp => return,
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

pub(crate) fn parse(mut frame: Bytes, connection: usize) -> Seen {
    let (api_key, version, correlation_id) = (frame.get_i16(), frame.get_i16(), frame.get_i32());
    let client_id = frame.get_i16();
    frame.advance(usize::try_from(client_id).unwrap_or(0));
    if ApiKey::try_from(api_key).unwrap().request_header_version(version) >= 2 {
        assert_eq!(frame.get_u8(), 0, "no tagged fields in the header");
    }
    Seen {
        api_key,
        version,
        correlation_id,
        body: frame,
        connection,
    }
}

/// A response with length and header.
pub(crate) fn framed(seen: &Seen, body: &[u8]) -> Bytes {
    let flexible = ApiKey::try_from(seen.api_key)
        .unwrap()
        .response_header_version(seen.version)
        >= 1;
    let mut bytes = Vec::new();
    bytes.extend_from_slice(
        &u32::try_from(4 + usize::from(flexible) + body.len())
            .unwrap()
            .to_be_bytes(),
    );
    bytes.extend_from_slice(&seen.correlation_id.to_be_bytes());
    bytes.extend(flexible.then_some(0));
    bytes.extend_from_slice(body);
    Bytes::from(bytes)
}

/// The answer of a broker that knows all versions of the APIs that this crate uses.
pub(crate) fn all_versions() -> ApiVersionsResponse {
    let api = |(key, _, (lowest, highest)): &(i16, &str, (i16, i16))| {
        ApiVersion::default()
            .with_api_key(*key)
            .with_min_version(*lowest)
            .with_max_version(*highest)
    };
    ApiVersionsResponse::default().with_api_keys(TABLE.iter().map(api).collect())
}

/// What of a login by a password a broker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refuses {
    Nothing,
    Mechanism,
    Password,
}

/// The answer to a request of a login, if it is one.
pub(crate) fn answer_to_login(seen: &Seen, refuses: Refuses) -> Option<Reply> {
    if seen.is::<SaslHandshakeRequest>() {
        let code = if refuses == Refuses::Mechanism { 33 } else { 0 };
        return Some(seen.answer(&SaslHandshakeResponse::default().with_error_code(code)));
    }
    seen.is::<SaslAuthenticateRequest>().then(|| {
        let code = if refuses == Refuses::Password { 58 } else { 0 };
        seen.answer(&SaslAuthenticateResponse::default().with_error_code(code))
    })
}

/// A broker that nobody can log in to.
pub(crate) async fn refusing(refuses: Refuses) -> FakeBroker {
    let script =
        move |seen: &Seen| answer_to_login(seen, refuses).unwrap_or_else(|| seen.answer(&all_versions()));
    FakeBroker::start(script).await
}
