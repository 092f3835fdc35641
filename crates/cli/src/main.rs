//! The command line of kafka-backup.

fn main() {}
