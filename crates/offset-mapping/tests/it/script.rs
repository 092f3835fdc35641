use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use offset_mapping::render::reset_script;
use offset_mapping::{OffsetMapping, OffsetResetPlan, OffsetResetStrategy, TopicPartition};
use tempfile::TempDir;

use crate::sample::{self, commit};

/// Stands in for Kafka's tool: notes its arguments, keeps the file that it is given, and answers like the
/// tool. `FAKE` makes it fail in the ways in which the tool does.
const TOOL: &str = r#"#!/usr/bin/env bash
set -eu
n=$(find "$FAKE_DIR" -name 'call-*' | wc -l)
printf '%s\0' "$@" >"$FAKE_DIR/call-$n"
while [ $# -gt 0 ]; do
  case "$1" in
    --group) group=$2 ;;
    --from-file) file=$2 ;;
  esac
  shift
done
cp "$file" "$FAKE_DIR/file-$n"
printf '%s\n' "$file" >"$FAKE_DIR/path"
case "${FAKE:-}" in
  exit) exit 7 ;;
  error) printf '\nError: Assignments can only be reset if the group is inactive\n'; exit 0 ;;
  silent) exit 0 ;;
esac
line='\n%-30s %-30s %-10s %s'
[ "${FAKE:-}" != 3.9 ] || line='%-30s %-30s %-10s %-15s'
printf "$line" GROUP TOPIC PARTITION NEW-OFFSET
while IFS=, read -r topic partition offset; do
  [ "${FAKE:-}" != clip ] || offset=0
  printf "$line" "$group" "$topic" "$partition" "$offset"
done <"$file"
printf '\n'
"#;

struct Shell {
    dir: TempDir,
    script: PathBuf,
}

impl Shell {
    fn new(script: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let shell = Self {
            script: dir.path().join("reset.sh"),
            dir,
        };
        for folder in ["bin", "calls", "tmp"] {
            fs::create_dir(shell.dir.path().join(folder)).unwrap();
        }
        fs::write(&shell.script, script).unwrap();
        shell.install("kafka-consumer-groups.sh");
        shell
    }

    fn of(plan: &OffsetResetPlan) -> Self {
        Self::new(&reset_script(
            plan,
            &["dr-kafka-1:9092".into(), "dr-kafka-2:9092".into()],
        ))
    }

    fn install(&self, name: &str) {
        let tool = self.dir.path().join("bin").join(name);
        fs::write(&tool, TOOL).unwrap();
        fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self) -> Command {
        let path = format!("{}:/usr/bin:/bin", self.dir.path().join("bin").display());
        let mut command = Command::new("bash");
        command
            .arg(&self.script)
            .env_clear()
            .env("PATH", path)
            .current_dir(self.dir.path());
        command
            .env("FAKE_DIR", self.dir.path().join("calls"))
            .env("TMPDIR", self.dir.path().join("tmp"));
        command
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let output = self
            .command()
            .args(arguments)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        // Nothing is left behind, whatever happened.
        assert_eq!(fs::read_dir(self.dir.path().join("tmp")).unwrap().count(), 0);
        output
    }

    /// The arguments and the file of the n-th call of the tool.
    fn call(&self, n: usize) -> (Vec<String>, String) {
        let calls = self.dir.path().join("calls");
        let arguments = fs::read_to_string(calls.join(format!("call-{n}"))).unwrap();
        let arguments = arguments
            .strip_suffix('\0')
            .unwrap()
            .split('\0')
            .map(str::to_owned)
            .collect();
        (
            arguments,
            fs::read_to_string(calls.join(format!("file-{n}"))).unwrap(),
        )
    }

    fn calls(&self) -> usize {
        let calls = fs::read_dir(self.dir.path().join("calls")).unwrap();
        calls
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("call-")
            })
            .count()
    }

    /// What the tool must have been called with, given the file that it read.
    fn expected(&self, servers: &str, group: &str, mode: &str) -> Vec<String> {
        let file = fs::read_to_string(self.dir.path().join("calls/path")).unwrap();
        let words = [
            "--bootstrap-server",
            servers,
            "--group",
            group,
            "--reset-offsets",
            "--from-file",
            file.trim_end(),
            mode,
        ];
        words.map(str::to_owned).to_vec()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn plan_of(groups: &[&str]) -> OffsetResetPlan {
    OffsetResetPlan::build(&sample::mapping(), groups, OffsetResetStrategy::Manual).unwrap()
}

#[test]
fn a_complete_plan_is_executed() {
    let shell = Shell::of(&plan_of(&["order-processor"]));
    let output = shell.run(&[], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let (arguments, file) = shell.call(0);
    assert_eq!(
        arguments,
        shell.expected("dr-kafka-1:9092,dr-kafka-2:9092", "order-processor", "--execute")
    );
    assert_eq!(file, "orders,0,5750\norders,1,400\norders,2,0\n");
    assert!(String::from_utf8(output.stdout).unwrap().contains("NEW-OFFSET"));
    assert_eq!(shell.calls(), 1);
}

#[test]
fn a_dry_run_is_one() {
    let shell = Shell::of(&plan_of(&["order-processor", "audit"]));
    assert_eq!(shell.run(&["--dry-run"], &[]).status.code(), Some(0));
    assert_eq!(shell.calls(), 2);
    for n in 0..2 {
        let (arguments, _) = shell.call(n);
        assert!(arguments.contains(&"--dry-run".to_owned()) && !arguments.contains(&"--execute".to_owned()));
    }
}

#[test]
fn the_environment_decides_on_the_tool_and_the_cluster() {
    let shell = Shell::of(&plan_of(&["order-processor"]));
    shell.install("my tool");
    fs::remove_file(shell.dir.path().join("bin/kafka-consumer-groups.sh")).unwrap();
    let environment = [
        ("BOOTSTRAP_SERVERS", "other:1"),
        ("KAFKA_CONSUMER_GROUPS", "my tool"),
        ("COMMAND_CONFIG", "/etc/my client.properties"),
    ];
    let output = shell.run(&[], &environment);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut expected = shell.expected("other:1", "order-processor", "--execute");
    expected.splice(
        2..2,
        [
            "--command-config".to_owned(),
            "/etc/my client.properties".to_owned(),
        ],
    );
    assert_eq!(shell.call(0).0, expected);
}

#[test]
fn a_wrong_call_changes_nothing() {
    let shell = Shell::of(&plan_of(&["order-processor"]));
    for arguments in [&["--execute"][..], &["--dry-run", "x"], &[""]] {
        let output = shell.run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).starts_with("usage: "));
    }
    let output = shell.run(&[], &[("KAFKA_CONSUMER_GROUPS", "/nowhere/tool")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot find /nowhere/tool"));
    assert_eq!(shell.calls(), 0);

    let mut plan = plan_of(&["order-processor"]);
    plan.target_bootstrap_servers.clear();
    let shell = Shell::new(&reset_script(&plan, &[]));
    let output = shell.run(&[], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("set BOOTSTRAP_SERVERS"));
    assert_eq!(
        shell.run(&[], &[("BOOTSTRAP_SERVERS", "a:1")]).status.code(),
        Some(0)
    );
}

#[test]
fn an_incomplete_plan_does_what_it_can_and_says_so() {
    let shell = Shell::of(&sample::plan());
    let output = shell.run(&[], &[]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        stderr(&output),
        "WARNING: group notification-service: not in the backup, nothing is reset\n\
         WARNING: group payment-processor: 1 partition not resolved and not reset\n\
         WARNING: THE PLAN IS INCOMPLETE: some positions were not reset\n"
    );
    assert_eq!(shell.calls(), 2);
    assert_eq!(shell.call(1).1, "orders,2,300\norders,10,7\npayments,0,3000000\n");
}

/// Kafka 3.9 prints its table without ends of lines.
#[test]
fn a_table_without_lines_confirms_too() {
    let shell = Shell::of(&plan_of(&["order-processor", "audit"]));
    let output = shell.run(&[], &[("FAKE", "3.9")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout
            .lines()
            .any(|line| line.contains("NEW-OFFSET") && line.contains("5750")),
        "{stdout}"
    );
}

/// The tool says that it failed in several ways, one of them with status 0, and one by doing something else.
#[test]
fn a_failure_of_the_tool_is_a_failure_and_other_groups_are_still_reset() {
    for (how, message) in [
        ("exit", "group audit: the tool ended with status 7"),
        ("error", "group audit: the tool reports an error"),
        (
            "silent",
            "not confirmed: payments,0,19\nFAILED: group audit: the tool does not confirm every offset",
        ),
        (
            "clip",
            "not confirmed: payments,0,19\nFAILED: group audit: the tool does not confirm every offset",
        ),
    ] {
        let shell = Shell::of(&plan_of(&["audit", "order-processor"]));
        let output = shell.run(&[], &[("FAKE", how)]);
        assert_eq!(output.status.code(), Some(1), "{how}");
        assert!(stderr(&output).contains(message), "{how}: {}", stderr(&output));
        assert!(
            stderr(&output).ends_with("FAILED: 2 groups were not reset\n"),
            "{how}: {}",
            stderr(&output)
        );
        assert_eq!(shell.calls(), 2);
    }
}

const HOSTILE: [&str; 14] = [
    "it's",
    "\"quoted\"",
    "$(touch pwned)",
    "`touch pwned`",
    "${PATH}",
    "two\nlines",
    "OFFSETS",
    "a\nOFFSETS\ntouch pwned\n",
    "'; touch pwned; '",
    "\\' \\n \\",
    "--group",
    "tab\tesc\x1b[0m\x07\r",
    " ünï \u{202e}\u{200b}7 ",
    "!! *? ~ # %s\\x41",
];

#[test]
fn hostile_groups_arrive_as_they_are() {
    for name in HOSTILE {
        let mut mapping = sample::mapping();
        mapping.add_group(name, [commit("payments", 0, 5)]);
        let plan = OffsetResetPlan::build(&mapping, &[name], OffsetResetStrategy::Manual).unwrap();
        let shell = Shell::of(&plan);
        let output = shell.run(&[], &[]);
        assert_eq!(output.status.code(), Some(0), "{name:?}: {}", stderr(&output));
        assert_eq!(
            shell.call(0).0,
            shell.expected("dr-kafka-1:9092,dr-kafka-2:9092", name, "--execute")
        );
        assert_eq!((shell.calls(), shell.call(0).1.as_str()), (1, "payments,0,5\n"));
        assert!(!shell.dir.path().join("pwned").exists(), "{name:?}");
    }
}

#[test]
fn hostile_topics_arrive_as_fields_of_the_file() {
    for name in HOSTILE {
        let mut mapping = OffsetMapping::new(0);
        for partition in [0, 1] {
            let map = sample::partition(0..9, &[], 0, &[(0, 0, 9)]);
            mapping.entries.insert(TopicPartition::new(name, partition), map);
        }
        mapping.add_group("app", [commit(name, 0, 5), commit(name, 1, 6)]);
        let plan = OffsetResetPlan::build(&mapping, &["app"], OffsetResetStrategy::Manual).unwrap();
        let shell = Shell::of(&plan);
        shell.run(&[], &[]);
        let (arguments, file) = shell.call(0);
        assert_eq!(
            arguments,
            shell.expected("dr-kafka-1:9092,dr-kafka-2:9092", "app", "--execute")
        );
        let quote = name.contains([',', '"', '\n', '\r', '\t', ' ']);
        let field = if quote {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.to_owned()
        };
        assert_eq!(file, format!("{field},0,5\n{field},1,6\n"));
        assert!(!shell.dir.path().join("pwned").exists(), "{name:?}");
    }
}

#[test]
fn hostile_servers_arrive_as_they_are() {
    for name in HOSTILE {
        let shell = Shell::new(&reset_script(&plan_of(&["audit"]), &[name.to_owned()]));
        assert_eq!(shell.run(&[], &[]).status.code(), Some(0));
        assert_eq!(shell.call(0).0, shell.expected(name, "audit", "--execute"));
    }
}

#[test]
fn hostile_names_elsewhere_stay_in_their_comments() {
    for name in HOSTILE.into_iter().chain(["\0"]) {
        let mut mapping = sample::mapping();
        (mapping.backup_id, mapping.source_cluster_id) = (Some(name.into()), Some(name.into()));
        mapping.target_cluster_id = Some(name.into());
        let mut noted = commit("payments", 0, 5);
        noted.metadata = name.into();
        mapping.add_group(name, [noted, commit(name, 0, 5)]);
        let missing = format!("{name}x");
        let plan = OffsetResetPlan::build(&mapping, &[name, "audit", &missing], OffsetResetStrategy::Manual)
            .unwrap();
        let shell = Shell::of(&plan);
        let code = shell.run(&[], &[]).status.code();
        // A name with a NUL cannot be given to a command, so that its group fails; the others are reset.
        let (expected, calls) = if name == "\0" { (1, 1) } else { (3, 2) };
        assert_eq!((code, shell.calls()), (Some(expected), calls), "{name:?}");
        assert!(!shell.dir.path().join("pwned").exists(), "{name:?}");
    }
}

#[test]
fn the_script_says_that_the_tool_drops_metadata() {
    let note = "kafka-consumer-groups.sh drops it";
    assert!(reset_script(&plan_of(&["order-processor"]), &[]).contains(note));
    assert!(!reset_script(&plan_of(&["audit"]), &[]).contains(note));
}
