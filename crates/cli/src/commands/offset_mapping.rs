//! `kafka-backup offset-mapping`

use std::io::{self, BufWriter, Write};

use anyhow::Context as _;
use offset_mapping::{OffsetMapping, OffsetResetPlan, OffsetResetStrategy, Pairs, render};
use restore_engine::{Catalog, output};

use super::open_storage;
use crate::args::{Format, OffsetMappingArgs};
use crate::exit::Ended;

pub(crate) async fn run(args: &OffsetMappingArgs) -> anyhow::Result<Ended> {
    let context = open_storage(&args.backup.storage)?;
    let stored = Catalog::new(&context)
        .newest_mapping(&args.backup.backup_id)
        .await;
    let mut mapping = stored
        .context("the backup is looked for where --storage-path or --config say")?
        .mapping;
    if args.pairs && !matches!(args.format, Format::Json | Format::Csv) {
        anyhow::bail!("--pairs goes with --format json or csv");
    }
    keep_groups(&mut mapping, &args.groups)?;
    match &args.output {
        Some(path) => {
            let written = output::write_file(path, |out| write(&mapping, args, out));
            written.with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => match write(&mapping, args, &mut BufWriter::new(io::stdout().lock())) {
            // A reader that has gone away (`| head`) is no error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        },
    }
    Ok(Ended::Done)
}

/// A group that the backup does not know is a misspelling more often than a wish.
fn keep_groups(mapping: &mut OffsetMapping, wanted: &[String]) -> anyhow::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let unknown: Vec<&str> = wanted
        .iter()
        .filter(|group| !mapping.consumer_groups.contains_key(*group))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = mapping.consumer_groups.keys().map(String::as_str).collect();
        anyhow::bail!(
            "the backup has no offsets of group(s) {}; it has: {}",
            unknown.join(", "),
            known.join(", ")
        );
    }
    mapping.consumer_groups.retain(|group, _| wanted.contains(group));
    Ok(())
}

/// Written as it is made: with `--pairs`, a mapping has a line for each record.
fn write(mapping: &OffsetMapping, args: &OffsetMappingArgs, out: &mut dyn Write) -> io::Result<()> {
    let pairs = if args.pairs { Pairs::All } else { Pairs::Runs };
    match args.format {
        Format::Json => mapping.write_json(&mut *out, pairs)?,
        Format::Csv => render::mapping_csv(mapping, pairs, &mut *out)?,
        Format::Text => out.write_all(render::mapping_text(mapping).as_bytes())?,
        Format::ShellScript => {
            let all: [&str; 0] = [];
            let plan = OffsetResetPlan::build(mapping, &all, OffsetResetStrategy::Manual)
                .map_err(io::Error::other)?;
            out.write_all(render::reset_script(&plan, &mapping.target_bootstrap_servers).as_bytes())?;
        }
    }
    out.flush()
}
