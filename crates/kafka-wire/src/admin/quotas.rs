//! Client quotas.

use std::collections::BTreeMap;

use kafka_protocol::messages::DescribeClientQuotasRequest;
use kafka_protocol::messages::describe_client_quotas_response::EntryData;

use crate::cluster::Cluster;
use crate::error::Error;

/// The quotas of one user, client id, address, or combination of them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct QuotaEntry {
    /// For whom: by kind (`user`, `client-id`, `ip`) the name, or `None` for the default of that kind.
    pub entity: BTreeMap<String, Option<String>>,
    /// By name, such as `producer_byte_rate`, the limit.
    pub quotas: BTreeMap<String, f64>,
}

impl Cluster {
    /// All client quotas, sorted by whom they are for.
    ///
    /// # Errors
    /// When the cluster does not answer, or forbids it. Brokers before 2.6 cannot tell.
    pub async fn describe_client_quotas(&self) -> Result<Vec<QuotaEntry>, Error> {
        // No component and not strict: every entry matches.
        let request = DescribeClientQuotasRequest::default();
        let (_, response) = self
            .ask_controller(&request, |response| {
                let words = response.error_message.as_ref().map(ToString::to_string);
                (response.error_code, words)
            })
            .await?;
        let mut entries: Vec<_> = response
            .entries
            .unwrap_or_default()
            .into_iter()
            .map(entry)
            .collect();
        entries.sort_by(|a, b| a.entity.cmp(&b.entity));
        Ok(entries)
    }
}

fn entry(entry: EntryData) -> QuotaEntry {
    let entity = entry.entity.into_iter().map(|entity| {
        (
            entity.entity_type.to_string(),
            entity.entity_name.map(|name| name.to_string()),
        )
    });
    let quotas = entry
        .values
        .into_iter()
        .map(|quota| (quota.key.to_string(), quota.value));
    QuotaEntry {
        entity: entity.collect(),
        quotas: quotas.collect(),
    }
}
