//! Kafka's own command line tools.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::{DEFAULT_KAFKA_VERSION, jars};

/// Writes an executable `kafka-consumer-groups.sh` into a folder; it runs the tool of the default Kafka release.
///
/// Blocks while the jars are resolved, the first time.
pub fn consumer_groups_script(folder: &Path) -> Result<PathBuf> {
    let jars = jars::of_version(DEFAULT_KAFKA_VERSION)?;
    let path = folder.join("kafka-consumer-groups.sh");
    let class_path = jars.join("*").display().to_string().replace('\'', r"'\''");
    let script = format!(
        "#!/bin/sh\nexec java -XX:TieredStopAtLevel=1 -cp '{class_path}' \
         org.apache.kafka.tools.consumer.group.ConsumerGroupCommand \"$@\"\n"
    );
    fs::write(&path, script).map_err(Error::io(format!("writing {}", path.display())))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .map_err(Error::io(format!("making {} executable", path.display())))?;
    Ok(path)
}
