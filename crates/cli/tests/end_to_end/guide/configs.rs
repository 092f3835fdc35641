//! The guide's configurations, word for word, and what takes the place of its addresses, folders and storage.

use testkit::Cluster;

/// Phase 1 of the guide.
pub(super) const BACKUP: &str = r#"mode: backup
backup_id: prod-backup-2024

source:
  bootstrap_servers:
    - kafka-1:9092
    - kafka-2:9092
  topics:
    include:
      - "orders-*"
      - "payments-*"

storage:
  backend: s3
  bucket: kafka-backups
  prefix: prod

backup:
  # Enable offset headers for three-phase restore (default: true)
  include_offset_headers: true

  # Optional: identify source cluster in headers
  source_cluster_id: "prod-us-east-1"

  compression: zstd
  segment_max_bytes: 134217728  # 128MB
"#;

/// Phase 2 of the guide.
pub(super) const RESTORE: &str = r#"mode: restore
backup_id: prod-backup-2024

target:
  bootstrap_servers:
    - dr-kafka-1:9092
    - dr-kafka-2:9092
  topics:
    include:
      - "orders-*"
      - "payments-*"

storage:
  backend: s3
  bucket: kafka-backups
  prefix: prod

restore:
  # Use header-based offset strategy
  consumer_group_strategy: header-based

  # Include original offset headers in produced records
  include_original_offset_header: true

  # Output offset mapping for Phase 3
  offset_report: /var/kafka-backup/offset-mapping.json

  # Consumer groups to reset (Phase 3)
  consumer_groups:
    - order-processor
    - payment-processor
    - notification-service

  # Enable automatic offset reset (or use 'manual' for review first)
  reset_consumer_offsets: false  # Set to true for auto-reset
"#;

pub(super) const S3: &str = "  backend: s3\n  bucket: kafka-backups\n  prefix: prod\n";
pub(super) const FILES: &str = "  backend: filesystem\n  path: {backups}\n";

/// The address in a configuration of the guide, and the cluster instead.
pub(super) fn placed(yaml: &str, cluster: &Cluster) -> String {
    let server = &cluster.bootstrap_servers()[0];
    [
        "dr-kafka-1:9092",
        "dr-kafka-2:9092",
        "kafka-1:9092",
        "kafka-2:9092",
    ]
    .iter()
    .fold(yaml.replace(S3, FILES), |yaml, name| yaml.replace(name, server))
    .replace("/var/kafka-backup", "{folder}/var/kafka-backup")
}
