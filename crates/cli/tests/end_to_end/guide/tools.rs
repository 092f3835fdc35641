//! Apache Kafka's own tools, and running them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::program::Workplace;

/// A folder with Apache Kafka's tools.
pub(super) fn tools(work: &Workplace) -> PathBuf {
    let folder = work.path("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let script = testkit::consumer_groups_script(&folder).unwrap();
    let configs = std::fs::read_to_string(script).unwrap().replace(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "kafka.admin.ConfigCommand",
    );
    let path = folder.join("kafka-configs.sh");
    std::fs::write(&path, configs).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}
