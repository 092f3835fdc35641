//! How a broker and a client agree on versions when the client begins with one that the broker does not know.

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_wire::{Cluster, ClusterConfig, TopicFilter};
use testkit::{FaultProxy, RequestFault, Rule, api_key};
use tokio::io::AsyncWriteExt;

use crate::raw::{answer, call, connect};
use crate::support::{Broker, shared};

const UNSUPPORTED_VERSION: [u8; 2] = [0, 35];

/// A request in a version that no broker knows yet, so that nobody can know the layout of what follows the header either.
fn from_the_future(version: i16, body: &[u8]) -> Vec<u8> {
    let mut payload = api_key::API_VERSIONS.to_be_bytes().to_vec();
    payload.extend(version.to_be_bytes());
    payload.extend([0, 0, 0, 7]);
    payload.extend(b"\0\x05facts\0");
    payload.extend(body);
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_be_bytes()[..], &payload].concat()
}

/// The refusal has header and body of version 0, names this API only, and the connection stays usable.
pub(crate) async fn unknown_versions_are_refused_in_version_0(broker: &Broker, highest: i16) {
    let mut expected = vec![0, 0, 0, 7];
    expected.extend(UNSUPPORTED_VERSION);
    expected.extend([0, 0, 0, 1]);
    for number in [api_key::API_VERSIONS, 0, highest] {
        expected.extend(number.to_be_bytes());
    }
    let mut socket = connect(broker).await;
    for version in [highest + 1, 99, i16::MAX] {
        for body in [&b""[..], b"\x02a\x02b\0", &[0xff; 40]] {
            socket.write_all(&from_the_future(version, body)).await.unwrap();
            assert_eq!(answer(&mut socket).await, expected, "version {version}");
        }
    }
    socket
        .write_all(&crate::raw::frame(0, 8, &ApiVersionsRequest::default()))
        .await
        .unwrap();
    assert_eq!(answer(&mut socket).await[..6], [0, 0, 0, 8, 0, 0]);
}

/// The answer to the highest known version, too, has a header of version 0: its body follows the correlation id at once.
pub(crate) async fn the_highest_version_is_answered_with_a_header_of_version_0(
    broker: &Broker,
    highest: i16,
) {
    let request = ApiVersionsRequest::default()
        .with_client_software_name("facts".to_owned().into())
        .with_client_software_version("1".to_owned().into());
    let response = call(broker, highest, &request).await;
    assert_eq!(response.error_code, 0);
    let own = response
        .api_keys
        .iter()
        .find(|api| api.api_key == api_key::API_VERSIONS);
    assert_eq!(own.unwrap().max_version, highest);
}

/// Our client goes down to a version that the broker knows, and works in it.
pub(crate) async fn our_client_follows_a_refusal(broker: &Broker) {
    let server = broker.kafka.bootstrap_servers()[0].parse().unwrap();
    let proxy = FaultProxy::start(server).unwrap();
    let refused = proxy.add(Rule::request(
        api_key::API_VERSIONS,
        RequestFault::alter_request(|payload| payload[2..4].copy_from_slice(&99_i16.to_be_bytes())),
    ));
    proxy.start_recording(api_key::API_VERSIONS);
    let cluster = Cluster::connect(ClusterConfig::new([proxy.address()]))
        .await
        .unwrap();
    assert_eq!(refused.hits(), 1);
    let asked = proxy.stop_recording();
    let versions: Vec<_> = asked.iter().map(|request| &request.frame[6..8]).collect();
    assert_eq!(versions, [[0, 3], [0, 2]]);
    assert_eq!(proxy.connections(), 1, "on the same connection");
    cluster.metadata(TopicFilter::Names(Vec::new())).await.unwrap();
    cluster.close().await;
}

#[tokio::test]
async fn an_unknown_version_is_refused_in_version_0() {
    let broker = shared().await;
    unknown_versions_are_refused_in_version_0(broker, 4).await;
    the_highest_version_is_answered_with_a_header_of_version_0(broker, 4).await;
}

#[tokio::test]
async fn our_client_begins_again_in_a_version_that_is_known() {
    our_client_follows_a_refusal(shared().await).await;
}
