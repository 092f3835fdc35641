//! `kafka-backup describe`

use indicatif::{HumanBytes, HumanCount};
use offset_mapping::render::{utc, visible};
use restore_engine::describe::{self, BackupDescription, GroupDescription, TopicDescription};

use super::list::state;
use super::{open_storage, print, print_json};
use crate::args::{DescribeArgs, ReportFormat};
use crate::exit::Ended;
use crate::signals::Signals;

pub(crate) async fn run(args: &DescribeArgs, signals: &Signals) -> anyhow::Result<Ended> {
    let context = open_storage(&args.backup.storage)?.with_cancel(signals.cancel.clone());
    let description = describe::describe(&context, &args.backup.backup_id, args.generation).await?;
    match args.format {
        ReportFormat::Json => print_json(&description)?,
        ReportFormat::Text => print(&text(&description))?,
    }
    Ok(Ended::Done)
}

fn text(backup: &BackupDescription) -> String {
    let totals = &backup.totals;
    let mut text = format!(
        "Backup `{}` in {}\n  generation {} of {}, {} ({} generation(s) are there)\n",
        visible(&backup.backup_id),
        visible(&backup.place),
        totals.generation,
        utc(totals.created_at),
        state(totals.complete, totals.partitions_with_trouble),
        backup.generations.len(),
    );
    text += &format!(
        "  {} records in {} topic(s), {} partition(s); {} in {} segment(s); {} group(s)\n",
        HumanCount(totals.records),
        totals.topics,
        totals.partitions,
        HumanBytes(totals.bytes),
        totals.segments,
        totals.groups,
    );
    if let Some(cluster) = &backup.cluster_id {
        let label = backup.source_cluster_id.as_deref();
        let label = label.map_or(String::new(), |label| format!(" ({})", visible(label)));
        text += &format!("  source cluster {}{label}\n", visible(cluster));
    }
    if totals.lost_offsets > 0 {
        text += &format!(
            "  {} offsets were lost at the source before they could be read: see the gaps below\n",
            HumanCount(totals.lost_offsets)
        );
    }
    for topic in &backup.topics {
        topic_text(topic, &mut text);
    }
    if !backup.groups_captured.is_empty() {
        let at = backup
            .groups_captured_at
            .map_or("an unknown time".to_owned(), utc);
        text += &format!("\nConsumer groups, as of {at}\n");
    }
    for group in &backup.groups_captured {
        group_text(group, &mut text);
    }
    text
}

fn topic_text(topic: &TopicDescription, text: &mut String) {
    let records: u64 = topic.partitions.iter().map(|partition| partition.records).sum();
    let earlier = if topic.current {
        String::new()
    } else {
        format!(
            ", id {}: deleted at the source, another topic has its name now",
            topic.topic_id
        )
    };
    *text += &format!(
        "\nTopic {}: {} records, replication factor {}{earlier}\n",
        visible(&topic.name),
        HumanCount(records),
        topic.replication_factor,
    );
    for (key, value) in &topic.configs {
        *text += &format!("  {}={}\n", visible(key), visible(value));
    }
    for partition in &topic.partitions {
        let offsets = if partition.start_unknown {
            "nothing yet, its start is not known".to_owned()
        } else if partition.log_start_offset == partition.end_offset {
            format!("empty at offset {}", partition.end_offset)
        } else {
            format!(
                "offsets {} to {}",
                partition.log_start_offset,
                partition.end_offset - 1
            )
        };
        *text += &format!(
            "  partition {}: {offsets}, {} records, {}",
            partition.partition,
            HumanCount(partition.records),
            HumanBytes(partition.bytes),
        );
        if partition.aborted_records > 0 {
            *text += &format!(", {} aborted left out", HumanCount(partition.aborted_records));
        }
        *text += "\n";
        for gap in &partition.gaps {
            let cause = visible(&gap.cause.to_string());
            *text += &format!("    gap: offsets {} to {} ({cause})\n", gap.from, gap.to - 1);
        }
        if let Some(trouble) = &partition.trouble {
            *text += &format!("    trouble: {}\n", visible(trouble));
        }
    }
}

fn group_text(group: &GroupDescription, text: &mut String) {
    *text += &format!(
        "  {} ({}, {})\n",
        visible(&group.group_id),
        visible(&group.kind),
        visible(&group.state)
    );
    for position in &group.offsets {
        *text += &format!(
            "    {}-{}: {}\n",
            visible(&position.topic),
            position.partition,
            position.offset
        );
    }
}
