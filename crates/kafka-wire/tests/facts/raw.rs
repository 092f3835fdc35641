//! Single requests by the generated message types, over a connection of their own and with nothing in between.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{InitProducerIdRequest, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_wire::batch::ProducePatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Broker;

/// A request with its length and header.
pub(crate) fn frame<R: Request>(version: i16, correlation_id: i32, request: &R) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("facts")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let length = u32::try_from(frame.len()).unwrap();
    [&length.to_be_bytes()[..], &frame].concat()
}

/// A connection to the only broker.
pub(crate) async fn connect(broker: &Broker) -> TcpStream {
    connect_to(broker, 0).await
}

async fn connect_to(broker: &Broker, index: usize) -> TcpStream {
    let address = &broker.kafka.bootstrap_servers()[index];
    TcpStream::connect(address).await.unwrap()
}

/// The next answer, without its length.
pub(crate) async fn answer(socket: &mut TcpStream) -> Vec<u8> {
    let mut answer = vec![0; usize::try_from(socket.read_i32().await.unwrap()).unwrap()];
    socket.read_exact(&mut answer).await.unwrap();
    answer
}

pub(crate) fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// Sends a request to the only broker.
pub(crate) async fn call<R: Request>(broker: &Broker, version: i16, request: &R) -> R::Response {
    call_one(broker, 0, version, request).await
}

/// Sends a request to one broker of several.
pub(crate) async fn call_one<R: Request>(
    broker: &Broker,
    index: usize,
    version: i16,
    request: &R,
) -> R::Response {
    let mut socket = connect_to(broker, index).await;
    socket.write_all(&frame(version, 7, request)).await.unwrap();
    let mut answer = Bytes::from(answer(&mut socket).await);
    let header = ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
    assert_eq!(header.correlation_id, 7);
    let response = R::Response::decode(&mut answer, version).unwrap();
    assert_eq!(answer.remaining(), 0);
    response
}

/// A producer id that was never used. A broker that has just been started may have to be asked again.
pub(crate) async fn producer_id(broker: &Broker) -> ProducePatch {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    loop {
        let response = call(broker, 3, &request).await;
        match response.error_code {
            0 => {
                return ProducePatch {
                    producer_id: response.producer_id.0,
                    producer_epoch: response.producer_epoch,
                    base_sequence: 0,
                };
            }
            14 | 15 => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            code => panic!("InitProducerId was answered with {code}"),
        }
    }
}
