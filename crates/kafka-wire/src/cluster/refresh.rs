//! Reading metadata, with questions of many callers put into one request.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, sleep_until};

use super::Cluster;
use super::metadata::{Metadata, TopicFilter};
use crate::connection::{Api, Link, Role};
use crate::error::{Error, ErrorCode};
use kafka_protocol::messages::MetadataRequest;

#[derive(Debug, Default)]
pub(super) struct Refresh {
    /// Topics that somebody waits for.
    wanted: Mutex<BTreeSet<Arc<str>>>,
    /// When the last request was sent. Held while one is under way.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

impl Cluster {
    /// Asks a broker for metadata once, and feeds the caches with the answer.
    pub(super) async fn metadata_once(&self, topics: &TopicFilter) -> Result<Metadata, Error> {
        let link = self.inner.links.to_any().await?;
        self.metadata_from(&link, topics).await
    }

    /// Asks one broker for metadata once, and feeds the caches with the answer.
    pub(crate) async fn metadata_of(&self, node: i32, topics: &TopicFilter) -> Result<Metadata, Error> {
        let link = self.link(node, Role::Control, 0).await?;
        self.metadata_from(&link, topics).await
    }

    async fn metadata_from(&self, link: &Link, topics: &TopicFilter) -> Result<Metadata, Error> {
        let asked = Instant::now();
        let response = link
            .call(&topics.request(), self.inner.config.request_timeout)
            .await?;
        if let Some(code) = ErrorCode::new(response.error_code) {
            if code == ErrorCode::REBOOTSTRAP_REQUIRED {
                self.inner.links.start_again().await;
            }
            return Err(Error::kafka(code, MetadataRequest::NAME, link.broker(), ""));
        }
        let metadata = Metadata::from_response(response);
        if metadata.brokers.is_empty() {
            return Err(Error::NotReady {
                broker: Arc::clone(link.broker()),
            });
        }
        self.inner.links.set_brokers(&metadata.brokers);
        self.inner.leaders.update(&metadata, asked);
        Ok(metadata)
    }

    /// Makes the cache know about `topics` what a broker said after this call began.
    ///
    /// Callers that come while a request is under way share the next one.
    pub(super) async fn refresh_topics(&self, topics: BTreeSet<Arc<str>>) -> Result<(), Error> {
        let called = Instant::now();
        let Refresh { wanted, turn } = &self.inner.refresh;
        wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(topics.iter().cloned());
        let mut last = turn.lock().await;
        let is_fresh = |topic: &Arc<str>| {
            self.inner
                .leaders
                .asked(topic)
                .is_some_and(|asked| asked >= called)
        };
        if topics.iter().all(is_fresh) {
            return Ok(());
        }
        if let Some(last) = *last {
            sleep_until(last + self.inner.config.metadata_min_age).await;
        }
        *last = Some(Instant::now());
        let all = std::mem::take(&mut *wanted.lock().unwrap_or_else(PoisonError::into_inner));
        // Somebody whose request was cancelled may have taken ours along.
        let names = all.union(&topics).map(|topic| topic.to_string()).collect();
        self.metadata_once(&TopicFilter::Names(names)).await.map(drop)
    }
}
