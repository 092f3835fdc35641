//! Which restored records the target will delete once its own retention is in force again.

use std::collections::BTreeMap;

use kafka_wire::{Cluster, ConfigEntry};
use segment_format::BackupSet;
use segment_format::manifest::Topic;

use super::settings::describe;
use crate::context::Context;
use crate::error::Result;

/// A warning for each topic whose oldest records are older than the target keeps them. Taken from the values in force: a
/// source that keeps for ever by its brokers' default says nothing of the target's default.
pub(super) async fn warnings(
    cluster: &Cluster,
    context: &Context,
    set: &BackupSet,
    topics: &[String],
) -> Result<Vec<String>> {
    let described = describe(cluster, topics).await?;
    let oldest = oldest_records(set);
    let warning = |(topic, entries): (&String, &Vec<ConfigEntry>)| {
        let value = |name: &str| {
            entries
                .iter()
                .find(|entry| entry.name == name)
                .and_then(|entry| entry.value.as_deref())
        };
        let deletes = value("cleanup.policy").is_none_or(|policy| policy.contains("delete"));
        let retention = value("retention.ms")?
            .parse::<i64>()
            .ok()
            .filter(|ms| deletes && *ms >= 0)?;
        let oldest = *oldest.get(topic.as_str())?;
        let age = context.now_ms.saturating_sub(oldest);
        (oldest >= 0 && age > retention).then(|| {
            format!(
                "{topic}: the target keeps its records for {} and the oldest restored ones are {} old: it will soon delete \
                 what is older. To keep them, set retention.ms of the topic now",
                in_words(retention),
                in_words(age)
            )
        })
    };
    Ok(described.iter().filter_map(warning).collect())
}

fn oldest_records<'a>(set: &'a BackupSet) -> BTreeMap<&'a str, i64> {
    let mut oldest = BTreeMap::new();
    let pieces = set.segments().iter().flat_map(|segment| segment.partitions());
    for piece in pieces.filter(|piece| piece.records > 0) {
        let seen = oldest.entry(piece.topic).or_insert(i64::MAX);
        *seen = piece.min_timestamp.min(*seen);
    }
    let named = |topic: &'a Topic| Some((topic.name.as_str(), *oldest.get(&set.topic_number(&topic.name)?)?));
    set.topics().filter_map(named).collect()
}

fn in_words(ms: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes")];
    let unit = UNITS.iter().find(|(length, _)| ms >= 2 * length);
    unit.map_or(format!("{ms} ms"), |(length, name)| {
        format!("{} {name}", ms / length)
    })
}
