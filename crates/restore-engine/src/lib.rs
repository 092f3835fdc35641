//! Backup, restore and offset reset: the only place where Kafka, files and mappings meet.
