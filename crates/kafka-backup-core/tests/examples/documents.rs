//! The configurations in the documentation.
//!
//! A block that begins with ` ```yaml ` and has a `mode:` is a whole file. Without one it is sections of a file, whose
//! other sections are made up here. A block that begins with ` ```yaml wrong ` is a mistake, and the ` ```text ` block
//! behind it is what the program says about it.

use kafka_backup_core::Config;

const GUIDE: &str = include_str!("../../../../docs/guide.md");
const KEYS: &str = include_str!("../../../../docs/config.md");

/// A fenced block of a document.
#[derive(Debug)]
struct Block {
    document: &'static str,
    line: usize,
    info: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut found = Vec::new();
    for (document, text) in [("guide.md", GUIDE), ("config.md", KEYS)] {
        let mut open: Option<Block> = None;
        for (index, line) in text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => found.extend(open.take()),
                (Some(info), None) => {
                    open = Some(Block {
                        document,
                        line: index + 1,
                        info: info.to_owned(),
                        text: String::new(),
                    });
                }
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{document} ends within a block: {open:?}");
    }
    found
}

impl Block {
    fn is_whole(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("mode:"))
    }

    fn check(&self) -> Result<Config, String> {
        // The variables that the documentation sets.
        let text = self.text.replace("${TARGET}", "dr-kafka-1:9092");
        let text = text
            .replace("${KAFKA_PASSWORD}", "s3cret")
            .replace("${CLIENT_SECRET}", "s3cret");
        let mode = mode(&text);
        // A mistake is shown without what surrounds it; what is right must be right as it stands.
        let text = if self.is_whole() && self.info == "yaml" {
            text
        } else {
            completed(text, mode)
        };
        Config::from_yaml(&text, format!("{mode}.yaml")).map_err(|error| error.to_string())
    }
}

/// The names of a file's sections.
fn sections(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.starts_with([' ', '#']))
        .filter_map(|line| line.split_once(':').map(|(name, _)| name))
}

fn mode(text: &str) -> &'static str {
    let restores = match text.lines().find_map(|line| line.strip_prefix("mode: ")) {
        Some(mode) => mode == "restore",
        None => sections(text).any(|name| name == "restore" || name == "target"),
    };
    if restores { "restore" } else { "backup" }
}

/// Sections, and behind them those that a file needs beside them.
fn completed(mut text: String, mode: &str) -> String {
    let cluster = if mode == "restore" { "target" } else { "source" };
    let made_up = [
        ("mode", format!(" {mode}")),
        ("backup_id", " b".to_owned()),
        (
            cluster,
            "\n  bootstrap_servers: ['kafka-1:9092']\n  topics:\n    include: ['*']".to_owned(),
        ),
        ("storage", "\n  backend: filesystem\n  path: /backups".to_owned()),
    ];
    for (name, content) in made_up {
        if !sections(&text).any(|section| section == name) {
            text += &format!("{name}:{content}\n");
        }
    }
    text
}

#[test]
fn every_configuration_in_the_documentation_is_taken() {
    let blocks = blocks();
    let right: Vec<&Block> = blocks.iter().filter(|block| block.info == "yaml").collect();
    for block in &right {
        if let Err(error) = block.check() {
            panic!("{} line {}: {error}\n{}", block.document, block.line, block.text);
        }
    }
    for document in ["guide.md", "config.md"] {
        let whole = right
            .iter()
            .filter(|block| block.document == document && block.is_whole());
        assert!(whole.count() >= 2, "{document} shows a backup and a restore");
    }
}

#[test]
fn every_mistake_in_the_documentation_is_answered_as_it_says() {
    let blocks = blocks();
    let mut mistakes = 0;
    for pair in blocks.windows(2).filter(|pair| pair[0].info == "yaml wrong") {
        let (mistake, answer) = (&pair[0], &pair[1]);
        assert_eq!(answer.info, "text", "{mistake:?} has no answer");
        let Err(error) = mistake.check() else {
            panic!("{mistake:?} is not a mistake");
        };
        let said = format!("error: {error}");
        assert_eq!(words(&said), words(&answer.text), "{mistake:?}");
        mistakes += 1;
    }
    assert!(mistakes >= 10, "{mistakes} mistakes");
}

/// Line breaks in the documentation are for its readers.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first cells of the tables of keys.
fn documented_keys() -> Vec<String> {
    let mut keys = Vec::new();
    let mut in_keys = false;
    for line in KEYS.lines() {
        in_keys = line.starts_with('|') && (in_keys || line.starts_with("| key |"));
        let key = line.strip_prefix("| `").and_then(|row| row.split_once('`'));
        keys.extend(key.filter(|_| in_keys).map(|(key, _)| key.to_owned()));
    }
    keys
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let mut documented = documented_keys();
    // The program itself says which keys it knows, when it is given one that is like none of them.
    let sections = [
        "", "source", "target", "security", "topics", "storage", "backup", "restore",
    ];
    let mut known: Vec<String> = Vec::new();
    for section in sections {
        for key in keys_of(section) {
            let name = match section {
                "" if sections.contains(&key.as_str()) => continue,
                "" => key,
                "source" | "target" if sections.contains(&key.as_str()) => continue,
                "topics" => {
                    known.push(format!("source.topics.{key}"));
                    format!("target.topics.{key}")
                }
                section => format!("{section}.{key}"),
            };
            known.push(name);
        }
    }
    documented.sort();
    known.sort();
    assert_eq!(documented, known);
}

fn keys_of(section: &str) -> Vec<String> {
    let unlike = "qqqqqqqqqqqqqqqqqqqq: 1";
    let text = match section {
        "" => unlike.to_owned(),
        "security" | "topics" => format!("source:\n  {section}:\n    {unlike}"),
        section => format!("{section}:\n  {unlike}"),
    };
    let error = Config::from_yaml(&text, "f").unwrap_err().to_string();
    let (_, list) = error
        .split_once("the keys known here are ")
        .unwrap_or_else(|| panic!("{error}"));
    list.split(", ").map(str::to_owned).collect()
}
