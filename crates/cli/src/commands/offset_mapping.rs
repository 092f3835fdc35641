//! `kafka-backup offset-mapping`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use offset_mapping::{OffsetMapping, OffsetResetPlan, OffsetResetStrategy, Pairs, render};
use restore_engine::config::StorageConfig;
use restore_engine::{Catalog, Config, Context, storage};

use super::{now_ms, print};
use crate::args::{Format, OffsetMappingArgs};
use crate::exit::Ended;

pub(crate) async fn run(args: &OffsetMappingArgs) -> anyhow::Result<Ended> {
    let storage = match &args.config {
        Some(path) => Config::from_file(path)?.storage,
        None => StorageConfig::Filesystem { path: args.storage_path.clone(), prefix: String::new() },
    };
    let context = Context::new(storage::open(&storage), now_ms());
    let mut mapping = Catalog::new(&context).newest_mapping(&args.backup_id).await?.mapping;
    keep_groups(&mut mapping, &args.groups)?;

    let text = render(&mapping, args.format)?;
    match &args.output {
        None => print(&text)?,
        Some(path) => write_output(path, text.as_bytes())?,
    }
    Ok(Ended::Done)
}

/// A group that the backup does not know is a misspelling more often than a wish.
fn keep_groups(mapping: &mut OffsetMapping, wanted: &[String]) -> anyhow::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let unknown: Vec<&str> =
        wanted.iter().filter(|group| !mapping.consumer_groups.contains_key(*group)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = mapping.consumer_groups.keys().map(String::as_str).collect();
        anyhow::bail!("the backup has no offsets of group(s) {}; it has: {}", unknown.join(", "), known.join(", "));
    }
    mapping.consumer_groups.retain(|group, _| wanted.contains(group));
    Ok(())
}

fn render(mapping: &OffsetMapping, format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Json => {
            let mut json = Vec::new();
            mapping.write_json(&mut json, Pairs::Runs)?;
            String::from_utf8(json)?
        }
        Format::Csv => render::mapping_csv(mapping),
        Format::Text => render::mapping_text(mapping),
        Format::ShellScript => {
            let all: [&str; 0] = [];
            let plan = OffsetResetPlan::build(mapping, &all, OffsetResetStrategy::Manual)?;
            render::plan_script(&plan, &mapping.target_bootstrap_servers)
        }
    })
}

/// The old content or the new, never half of it.
fn write_output(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut staged: PathBuf = path.to_owned();
    staged.as_mut_os_string().push(format!(".staged-{}", std::process::id()));
    let write = || {
        std::fs::File::create(&staged)?.write_all(bytes)?;
        std::fs::rename(&staged, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
