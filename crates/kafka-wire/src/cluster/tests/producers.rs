//! Who writes to partitions, as scripted brokers tell it.

use kafka_protocol::messages::describe_producers_response::{PartitionResponse, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};

use super::*;
use crate::connection::Api;

#[tokio::test]
async fn a_broker_that_does_not_know_the_question_is_not_asked() {
    let pair = Pair::start(|_, _, seen| {
        let mut versions = all_versions();
        versions
            .api_keys
            .retain(|api| api.api_key != DescribeProducersRequest::KEY);
        seen.is::<ApiVersionsRequest>().then(|| seen.answer(&versions))
    })
    .await;
    let cluster = pair.cluster().await;
    let told = cluster.describe_producers(&at()).await;
    assert!(matches!(told[0].1, Err(Error::UnsupportedApi { .. })), "{told:?}");
    assert_eq!(pair.count::<DescribeProducersRequest>(), 0);
}

/// Rights are checked for each topic.
#[tokio::test]
async fn a_user_without_the_right_gets_the_brokers_answer_and_its_words() {
    let pair = Pair::start(|_, _, seen| {
        let partition = PartitionResponse::default()
            .with_error_code(29)
            .with_error_message(Some(text("not for you")));
        let topic = TopicResponse::default()
            .with_name(topic_name("t"))
            .with_partitions(vec![partition]);
        let refusal = DescribeProducersResponse::default().with_topics(vec![topic]);
        seen.is::<DescribeProducersRequest>()
            .then(|| seen.answer(&refusal))
    })
    .await;
    let cluster = pair.cluster().await;
    let told = cluster.describe_producers(&at()).await;
    let error = told[0].1.as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    assert!(
        crate::error::Chain(error).to_string().contains("not for you"),
        "{error}"
    );
    assert_eq!(pair.count::<DescribeProducersRequest>(), 1);
}
