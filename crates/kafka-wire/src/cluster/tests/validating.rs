//! Changes that are only to be checked say so in their requests.

use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::Decodable;

use super::*;
use crate::connection::Api;
use crate::topics::NewPartitions;

/// What the requests of one kind say, one after the other; the same one after the other counts once.
fn said<R: Api + Decodable>(pair: &Pair, validate_only: fn(&R) -> bool) -> Vec<bool> {
    let seen = pair.brokers.iter().flat_map(FakeBroker::seen);
    let requests = seen.filter(|seen| seen.is::<R>()).map(|seen| seen.read::<R>());
    let mut said: Vec<bool> = requests.map(|request| validate_only(&request)).collect();
    said.dedup();
    said
}

#[tokio::test]
async fn what_is_to_be_validated_is_not_asked_to_be_done() {
    let pair = Pair::start(|_, _, seen| {
        if seen.is::<CreatePartitionsRequest>() {
            Some(seen.answer(&CreatePartitionsResponse::default()))
        } else if seen.is::<IncrementalAlterConfigsRequest>() {
            Some(seen.answer(&IncrementalAlterConfigsResponse::default()))
        } else {
            None
        }
    })
    .await;
    let cluster = pair.cluster().await;
    let topics = [NewTopic::new("t", 1)];
    cluster.validate_new_topics(&topics).await;
    cluster.create_topics(&topics).await;
    let partitions = [NewPartitions::new("t", 2)];
    cluster.validate_new_partitions(&partitions).await;
    cluster.create_partitions(&partitions).await;
    let configs = [("t".to_owned(), ConfigChange::new().set("retention.ms", "1"))];
    cluster.validate_topic_configs(&configs).await;
    cluster.alter_topic_configs(&configs).await;

    let expected = [true, false];
    assert_eq!(
        said::<CreateTopicsRequest>(&pair, |request| request.validate_only),
        expected
    );
    assert_eq!(
        said::<CreatePartitionsRequest>(&pair, |request| request.validate_only),
        expected
    );
    let configs = said::<IncrementalAlterConfigsRequest>(&pair, |request| request.validate_only);
    assert_eq!(configs, expected);
}
