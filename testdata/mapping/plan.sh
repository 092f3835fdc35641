#!/usr/bin/env bash
#
# Resets consumer groups to where they had got, in the offsets of the restored topics.
#   backup:         prod-backup-2024
#   source cluster: prod-us-east-1
#   target cluster: Some-Cluster-Id-000000
#   groups:         3
#   partitions:     6
#
# Usage: [BOOTSTRAP_SERVERS=host:port,...] [KAFKA_CONSUMER_GROUPS=path] [COMMAND_CONFIG=file] bash <this file> [--dry-run]
# Stop the consumers first. When a group fails, the others are still reset.
#
# NOTE: some commits have a metadata string. kafka-consumer-groups.sh drops it.
#
# WARNING: THE PLAN IS INCOMPLETE. Some positions are not reset by this script.
#
# Warnings:
#   ! notification-service: NOT IN THE BACKUP
#   ! payment-processor: 1 partition NOT RESOLVED, left alone: refunds/3
#   ! order-processor: 1 partition CLAMPED, 120 offsets skipped that the backup does not hold: orders/2
#   ! payment-processor: 1 partition CLAMPED, 100 offsets skipped that the backup does not hold: orders/2
#   ! payment-processor: 1 partition BEYOND THE BACKUP, 25 offsets lost after its end: payments/0

set -euo pipefail

default_bootstrap_servers='dr-kafka-1:9092,dr-kafka-2:9092'

BOOTSTRAP_SERVERS="${BOOTSTRAP_SERVERS:-$default_bootstrap_servers}"
KAFKA_CONSUMER_GROUPS="${KAFKA_CONSUMER_GROUPS:-kafka-consumer-groups.sh}"
COMMAND_CONFIG="${COMMAND_CONFIG:-}"

usage() {
  printf 'usage: %s [--dry-run]\n' "$0" >&2
  exit 2
}

mode=--execute
case "$#:${1:-}" in
  0:) ;;
  1:--dry-run) mode=--dry-run ;;
  *) usage ;;
esac
if [ -z "$BOOTSTRAP_SERVERS" ]; then
  printf 'set BOOTSTRAP_SERVERS to the addresses of the target cluster\n' >&2
  exit 2
fi
if ! command -v -- "$KAFKA_CONSUMER_GROUPS" >/dev/null; then
  printf 'cannot find %s: set KAFKA_CONSUMER_GROUPS to the path of the tool\n' "$KAFKA_CONSUMER_GROUPS" >&2
  exit 2
fi

failed=0
work="$(mktemp -d)"
trap 'rm -rf -- "$work"' EXIT

warn() {
  printf 'WARNING: %s\n' "$1" >&2
}

fail() {
  printf 'FAILED: %s\n' "$1" >&2
  failed=$((failed + 1))
}

# Resets the group $1 to the topic,partition,offset lines of the standard input.
#
# The tool ends with status 0 also when it refuses, and it moves an offset that lies outside of the topic without an
# error: so what it says is checked, line by line.
reset_group() {
  local group="$1" status=0 config=()
  cat >"$work/offsets.csv"
  if [ -n "$COMMAND_CONFIG" ]; then
    config=(--command-config "$COMMAND_CONFIG")
  fi
  "$KAFKA_CONSUMER_GROUPS" --bootstrap-server "$BOOTSTRAP_SERVERS" ${config[@]+"${config[@]}"} \
    --group "$group" --reset-offsets --from-file "$work/offsets.csv" "$mode" \
    </dev/null >"$work/output" || status=$?
  cat -- "$work/output"
  printf '\n'
  if [ "$status" -ne 0 ]; then
    fail "group $group: the tool ended with status $status"
  elif grep -q '^Error:' "$work/output"; then
    fail "group $group: the tool reports an error"
  elif ! confirmed; then
    fail "group $group: the tool does not confirm every offset"
  fi
}

# Whether the tool's output has the topic, partition and new offset of each line of the file. Releases differ in whether
# they end the lines of their table, so that words count and not lines.
confirmed() {
  awk '
    FILENAME == ARGV[1] {
      for (i = 1; i <= NF; i++) { said[topic "," partition "," $i] = 1; topic = partition; partition = $i }
      next
    }
    !($0 in said) { print "not confirmed: " $0 > "/dev/stderr"; bad = 1 }
    END { exit bad }
  ' "$work/output" "$work/offsets.csv"
}

finish() {
  if [ "$failed" -gt 0 ]; then
    printf 'FAILED: %d groups were not reset\n' "$failed" >&2
    exit 1
  fi
  if [ "$1" = incomplete ]; then
    printf 'WARNING: THE PLAN IS INCOMPLETE: some positions were not reset\n' >&2
    exit 3
  fi
}

# Group notification-service
warn 'group notification-service: not in the backup, nothing is reset'

# Group order-processor
#   orders/0: 750 -> 5750 (exact)
#   orders/1: 401 -> 400 (exact)
#   orders/2: 380 -> 0 (clamped-to-start, 120 offsets skipped)
#   orders/10: none -> not reset (no-commit)
reset_group 'order-processor' <<'OFFSETS'
orders,0,5750
orders,1,400
orders,2,0
OFFSETS

# Group payment-processor
#   orders/2: 900 -> 300 (clamped-to-start, 100 offsets skipped)
#   orders/10: 40 -> 7 (exact-end)
#   payments/0: 3000025 -> 3000000 (beyond-backup, 25 offsets lost)
#   orders/0: none -> not reset (no-commit)
#   orders/1: none -> not reset (no-commit)
#   refunds/3: 12 -> not reset (unmapped)
warn 'group payment-processor: 1 partition not resolved and not reset'
reset_group 'payment-processor' <<'OFFSETS'
orders,2,300
orders,10,7
payments,0,3000000
OFFSETS

finish incomplete
