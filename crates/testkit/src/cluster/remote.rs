//! Brokers that move old segments to a remote storage (KIP-405).

use std::path::Path;

use super::options::ClusterOptions;
use crate::error::Result;
use crate::jars;

const STORAGE: &str = "org.apache.kafka.server.log.remote.storage.LocalTieredStorage";

impl ClusterOptions {
    /// Has brokers move the segments of topics with `remote.storage.enable=true` to a remote storage, and remove their own
    /// copies by `local.retention.bytes` and `local.retention.ms`, all within a second.
    ///
    /// The storage is that of Kafka's own tests, a folder; it comes in a jar beside the release's others. For releases from
    /// 3.9 on.
    #[must_use]
    pub fn remote_storage(mut self) -> Self {
        self.remote_storage = true;
        self.quick_retention()
    }
}

/// The options with all that a remote storage in `folder` needs, if there is to be one.
pub(super) fn settled(options: &ClusterOptions, folder: &Path) -> Result<ClusterOptions> {
    let mut settled = options.clone();
    if !options.remote_storage {
        return Ok(settled);
    }
    let jar = jars::remote_storage(&options.version)?.display().to_string();
    let folder = folder.display().to_string();
    for (name, value) in [
        ("remote.log.storage.system.enable", "true"),
        ("remote.log.storage.manager.class.name", STORAGE),
        ("remote.log.storage.manager.class.path", &jar),
        ("remote.log.storage.manager.impl.prefix", "storage."),
        ("storage.dir", &folder),
        ("remote.log.metadata.manager.listener.name", "INTERNAL"),
        ("remote.log.metadata.manager.impl.prefix", "segments."),
        ("segments.remote.log.metadata.topic.replication.factor", "1"),
        ("segments.remote.log.metadata.topic.num.partitions", "2"),
        ("remote.log.manager.task.interval.ms", "200"),
    ] {
        let property = settled.properties.entry(name.to_owned());
        property.or_insert_with(|| value.to_owned());
    }
    Ok(settled)
}
