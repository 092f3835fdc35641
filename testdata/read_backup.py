#!/usr/bin/env python3
"""Checks and lists the backup sets in a folder. Written from docs/FORMAT.md alone, with nothing but Python's own library.

Usage: read_backup.py FOLDER

Every byte of the newest manifest of each backup set and of the segments that it names is checked. Batches in blocks
without compression are listed; of compressed blocks only the checksum is checked, as Python has neither LZ4 nor
Zstandard. The listing goes to stdout. The exit status is 1, with a message on stderr, when something is wrong.
"""

import hashlib
import json
import os
import re
import struct
import sys
import uuid

from blake3 import blake3

VERSION = 1
MAX_BLOCK = 1 << 30
MAX_INDEX = 256 << 20
MAX_TOPIC = 249
COMPRESSIONS = {0: "none", 1: "lz4", 2: "zstd"}
MAX_RATIO = {"lz4": 255, "zstd": 1024}

HEADER = struct.Struct(">8sH2sQqI")
PARTITION = struct.Struct(">16siH")
DESCRIPTOR = struct.Struct(">qqqqQIIIIB3s")
INDEX_START = struct.Struct(">4sII")
FOOTER = struct.Struct(">QQQH2sI8s")
U32 = struct.Struct(">I")
U64 = struct.Struct(">Q")
# Base offset, length, leader epoch, magic, CRC; attributes, last offset delta, base and max timestamp, producer id and
# epoch, base sequence, record count.
BATCH_START = struct.Struct(">qiibI")
BATCH_REST = struct.Struct(">hiqqqhii")


class Damaged(Exception):
    """Something is not as the format says."""


def require(condition, problem):
    if not condition:
        raise Damaged(problem)


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def encode_id(text):
    data = text.encode()
    encoded = "%" if not data else ""
    for place, byte in enumerate(data):
        inside = 0 < place < len(data) - 1
        plain = chr(byte) in "abcdefghijklmnopqrstuvwxyz0123456789-_" or (byte == ord(".") and inside)
        encoded += chr(byte) if plain else "%%%02x" % byte
    return encoded


def decode_id(encoded):
    """The text of an encoded id, or None."""
    if encoded == "%":
        return ""
    try:
        text = re.sub(b"%([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), encoded.encode()).decode()
    except UnicodeError:
        return None
    return text if encode_id(text) == encoded else None


class Cursor:
    """Reads fields from the start of some bytes."""

    def __init__(self, what, data):
        self.what, self.data, self.at = what, data, 0

    def take(self, length):
        require(length <= len(self.data) - self.at, f"{self.what} is cut short")
        self.at += length
        return self.data[self.at - length : self.at]

    def unpack(self, fields):
        return fields.unpack(self.take(fields.size))

    def check_crc(self):
        """The next four bytes are the CRC-32C of all bytes before them."""
        computed = crc32c(self.data[: self.at])
        require(self.unpack(U32) == (computed,), f"{self.what}: CRC-32C does not match")


def check_version(what, version):
    require(version == VERSION, f"{what}: version {version} is not known")


def check_sorted(what, keys):
    keys = list(keys)
    require(all(left < right for left, right in zip(keys, keys[1:])), f"{what}: not sorted, or not unique")


def read_partition(cursor):
    """Returns (topic, partition, topic id); texts are compared as bytes."""
    topic_id, partition, length = cursor.unpack(PARTITION)
    require(1 <= length <= MAX_TOPIC, f"{cursor.what}: length of a topic name")
    require(partition >= 0, f"{cursor.what}: negative partition number")
    topic = cursor.take(length)
    try:
        topic.decode()
    except UnicodeError:
        raise Damaged(f"{cursor.what}: topic name is not UTF-8") from None
    return topic, partition, topic_id


class Descriptor:
    def __init__(self, cursor):
        self.fields = cursor.unpack(DESCRIPTOR)
        self.base_offset, self.last_offset, self.min_timestamp, self.max_timestamp, self.records = self.fields[:5]
        self.batches, self.raw, self.stored, self.crc, compression, reserved = self.fields[5:]
        self.compression = COMPRESSIONS.get(compression)
        require(self.compression, f"{cursor.what}: compression {compression} is not known")
        require(reserved == bytes(3), f"{cursor.what}: reserved bytes")
        require(0 <= self.base_offset <= self.last_offset, f"{cursor.what}: offsets of a block")
        require(self.batches >= 1 and 1 <= self.raw <= MAX_BLOCK, f"{cursor.what}: batches or length of a block")
        if self.compression == "none":
            plausible = self.stored == self.raw
        else:
            plausible = self.stored < self.raw <= self.stored * MAX_RATIO[self.compression]
        require(plausible, f"{cursor.what}: stored length of a block")


class Segment:
    """Header, index and footer of a segment; `blocks` are (partition, position, descriptor) in the order of the index."""

    def __init__(self, data):
        self.data = data
        self.read_header()
        self.read_footer()
        self.read_index()
        self.check_contiguous()

    def read_header(self):
        cursor = Cursor("header", self.data[: HEADER.size])
        magic, version, reserved, self.nonce, self.created_at, _ = cursor.unpack(HEADER)
        require(magic == b"KBSEGMNT", "header: magic")
        check_version("header", version)
        cursor.at -= 4
        cursor.check_crc()
        require(reserved == bytes(2), "header: reserved bytes")

    def read_footer(self):
        cursor = Cursor("footer", self.data[-FOOTER.size :])
        self.index_at, self.index_len, length, version, reserved, _, magic = cursor.unpack(FOOTER)
        require(magic == b"KBSEGEND", "footer: magic (the object is cut short?)")
        check_version("footer", version)
        cursor.at -= 12
        cursor.check_crc()
        require(reserved == bytes(2), "footer: reserved bytes")
        require(length == len(self.data), "footer: length of the object")
        require(self.index_at >= HEADER.size and self.index_len <= MAX_INDEX, "footer: place of the index")
        require(self.index_at + self.index_len + FOOTER.size == length, "footer: place of the index")

    def read_index(self):
        data = self.data[self.index_at : self.index_at + self.index_len]
        check = Cursor("index", data)
        check.take(max(len(data) - 4, 0))
        check.check_crc()
        cursor = Cursor("index", data[:-4])
        magic, partition_count, block_count = cursor.unpack(INDEX_START)
        require(magic == b"KBIX", "index: magic")
        least = partition_count * (PARTITION.size + 4) + block_count * (8 + DESCRIPTOR.size)
        require(least <= len(data), "index: counts")
        partitions = [(read_partition(cursor), *cursor.unpack(U32)) for _ in range(partition_count)]
        check_sorted("index", [(topic, partition) for (topic, partition, _), _ in partitions])
        self.blocks = []
        for partition, count in partitions:
            require(count >= 1, "index: partition without blocks")
            last = -1
            for _ in range(count):
                (position,) = cursor.unpack(U64)
                descriptor = Descriptor(cursor)
                require(descriptor.base_offset > last, "index: blocks are not in offset order")
                last = descriptor.last_offset
                self.blocks.append((partition, position, descriptor))
        require(len(self.blocks) == block_count and cursor.at == len(cursor.data), "index: counts")

    def check_contiguous(self):
        at = HEADER.size
        for partition, position, descriptor in sorted(self.blocks, key=lambda block: block[1]):
            require(position == at, f"index: no block starts at byte {at}")
            at += block_len(partition, descriptor)
        require(at == self.index_at, "index: blocks do not end where the index starts")

    def payload(self, partition, position, descriptor):
        """Checks a block against the index; returns its payload."""
        what = f"block at byte {position}"
        cursor = Cursor(what, self.data[position : position + block_len(partition, descriptor)])
        require(cursor.take(4) == b"KBLK", f"{what}: magic")
        require(read_partition(cursor) == partition, f"{what}: another partition than in the index")
        require(Descriptor(cursor).fields == descriptor.fields, f"{what}: not what the index says")
        cursor.check_crc()
        payload = cursor.take(descriptor.stored)
        require(crc32c(payload) == descriptor.crc, f"{what}: CRC-32C of the payload does not match")
        return payload


def block_len(partition, descriptor):
    return 4 + PARTITION.size + len(partition[0]) + DESCRIPTOR.size + 4 + descriptor.stored


def read_batches(what, payload):
    """Yields (base offset, last offset, records, text) of record batches as Kafka documents them."""
    at = 0
    while at < len(payload):
        cursor = Cursor(f"{what}: batch at byte {at} of the payload", payload[at:])
        base_offset, length, epoch, magic, crc = cursor.unpack(BATCH_START)
        require(magic == 2, f"{cursor.what}: this reader lists batches of magic 2 only, not {magic}")
        checked = Cursor(cursor.what, cursor.take(length - 9))
        require(crc32c(checked.data) == crc, f"{cursor.what}: CRC-32C does not match")
        _, delta, _, max_timestamp, *_, records = checked.unpack(BATCH_REST)
        text = f"{records} records, leader epoch {epoch}, max timestamp {max_timestamp}"
        yield base_offset, base_offset + delta, records, text
        at += 12 + length


def list_block(segment, partition, position, descriptor):
    what = f"block at byte {position}"
    payload = segment.payload(partition, position, descriptor)
    print(
        f"    {partition[0].decode()}-{partition[1]} offsets {descriptor.base_offset} to {descriptor.last_offset}:"
        f" {descriptor.records} records in {descriptor.batches} batches, {descriptor.compression},"
        f" {descriptor.stored} of {descriptor.raw} bytes at {position}"
    )
    if descriptor.compression != "none":
        return
    batches = list(read_batches(what, payload))
    for base_offset, last_offset, _, text in batches:
        print(f"      batch {base_offset} to {last_offset}: {text}")
    require(len(batches) == descriptor.batches, f"{what}: number of batches")
    require(sum(batch[2] for batch in batches) == descriptor.records, f"{what}: number of records")
    ends = (batches[0][0], batches[-1][1])
    require(ends == (descriptor.base_offset, descriptor.last_offset), f"{what}: offsets of the batches")


def summaries(segment, numbers):
    """What a manifest says of the partitions of a segment, from its blocks."""
    found = {}
    for (topic, number, topic_id), _, block in segment.blocks:
        known = (topic.decode(), topic_id)
        require(known in numbers, f"no topic is known as {known[0]} with the id of the segment")
        key = (numbers[known], number)
        ends = (block.base_offset, block.last_offset)
        first, _, records, oldest, newest, stored, blocks = found.get(
            key, (*ends, 0, block.min_timestamp, block.max_timestamp, 0, 0)
        )
        length = block_len((topic, number, topic_id), block)
        times = (min(oldest, block.min_timestamp), max(newest, block.max_timestamp))
        found[key] = (first, block.last_offset, records + block.records, *times, stored + length, blocks + 1)
    return [[*key, *found[key]] for key in sorted(found)]


def read_manifest(data):
    line, _, body = data.partition(b"\n")
    match = re.fullmatch(rb"kafka-backup-manifest (0|[1-9][0-9]*) (.*)", line)
    require(match, "header line")
    check_version("manifest", int(match[1]))
    digest = re.fullmatch(rb"sha256:([0-9a-f]{64})", match[2])
    require(digest, "header line")
    require(hashlib.sha256(body).hexdigest() == digest[1].decode(), "SHA-256 does not match")
    return json.loads(body)


class State:
    """A backup set: changes after changes, each checked against what was there before."""

    def __init__(self):
        self.topics, self.partitions, self.groups, self.segments = {}, {}, {}, {}

    def apply(self, changes, generations):
        check_sorted("topics", (topic["number"] for topic in changes["topics"]))
        check_sorted("partitions", ((entry["topic"], entry["partition"]) for entry in changes["partitions"]))
        check_sorted("removed_groups", (group.encode() for group in changes["removed_groups"]))
        check_sorted("groups", (group["group_id"].encode() for group in changes["groups"]))
        check_sorted("segments", (segment["id"] for segment in changes["segments"]))
        for topic in changes["topics"]:
            self.apply_topic(topic)
        pieces = {}
        for segment in changes["segments"]:
            require(re.fullmatch("-".join(["[0-9a-f]{16}"] * 3), segment["id"]), f"{segment['id']} is not the id of a segment")
            written_for = int(segment["id"][:16], 16)
            require(written_for in generations, f"{segment['id']} was written for another commit")
            require(segment["id"] not in self.segments, f"{segment['id']} is there twice")
            check_sorted(segment["id"], (tuple(piece[:2]) for piece in segment["partitions"]))
            self.segments[segment["id"]] = segment
            for topic, partition, *piece in segment["partitions"]:
                pieces.setdefault((topic, partition), []).append(piece)
        for entry in changes["partitions"]:
            self.apply_partition(entry, pieces.pop((entry["topic"], entry["partition"]), []))
        require(not pieces, "segments hold partitions that have no entry")
        for group_id in changes["removed_groups"]:
            self.groups.pop(group_id, None)
        for change in changes["groups"]:
            self.apply_group(change)

    def apply_topic(self, topic):
        number = topic["number"]
        uuid.UUID(topic["topic_id"])
        identity = (topic["name"], topic["topic_id"])
        if number in self.topics:
            known = self.topics[number]
            require((known["name"], known["topic_id"]) == identity, f"topic {number}: another one before")
        else:
            require(number == len(self.topics) + 1, f"topic {number}: not the next number")
            taken = {(known["name"], known["topic_id"]) for known in self.topics.values()}
            require(identity not in taken, f"topic {number}: it has another number")
        self.topics[number] = topic

    def apply_partition(self, entry, pieces):
        key = (entry["topic"], entry["partition"])
        what = "partition %d of topic %d" % (key[1], key[0])
        require(key[0] in self.topics, f"{what}: no such topic")
        new = dict(entry, first_offset=None, last_offset=None, records=0, gaps=[], end_offset=entry["log_start_offset"])
        before = self.partitions.get(key, new)
        if before.get("start_unknown"):
            before = new
        elif before is not new:
            require(not entry.get("start_unknown"), f"{what}: its start was known")
        check_partition(what, before, entry, sorted(pieces))
        self.partitions[key] = entry

    def apply_group(self, change):
        check_sorted(change["group_id"], ((at["topic"].encode(), at["partition"]) for at in change["offsets"]))
        positions = dict(self.groups.get(change["group_id"], {}).get("positions", {}))
        for at in change["gone"]:
            positions.pop((at["topic"], at["partition"]), None)
        positions.update({(at["topic"], at["partition"]): at for at in change["offsets"]})
        self.groups[change["group_id"]] = dict(change, positions=positions)


def check_partition(what, before, now, pieces):
    ranges = [(before["last_offset"], before["last_offset"])] if before["last_offset"] is not None else []
    ranges += [(piece[0], piece[1]) for piece in pieces]
    apart = all(left[1] < right[0] for left, right in zip(ranges, ranges[1:]))
    require(apart, f"{what}: segments overlap")
    first = before["first_offset"] if before["first_offset"] is not None else (pieces[0][0] if pieces else None)
    last = ranges[-1][1] if ranges else None
    require((now["first_offset"], now["last_offset"]) == (first, last), f"{what}: first and last offset")
    require(before["records"] + sum(piece[2] for piece in pieces) == now["records"], f"{what}: number of records")
    require(before["log_start_offset"] == now["log_start_offset"] >= 0, f"{what}: start")
    require(before["end_offset"] <= now["end_offset"], f"{what}: end goes back")
    require(last is None or last < now["end_offset"], f"{what}: last offset is past the end")
    gaps = now["gaps"]
    require(gaps[: len(before["gaps"])] == before["gaps"], f"{what}: gaps of before")
    inside = all(0 <= gap["from"] < gap["to"] <= now["end_offset"] for gap in gaps)
    require(inside and all(left["to"] <= right["from"] for left, right in zip(gaps, gaps[1:])), f"{what}: gaps")
    if now.get("start_unknown"):
        counted = now["records"] or now["aborted_records"] or now["control_batches"] or gaps
        covers = counted or now["end_offset"] != now["log_start_offset"] or now["last_leader_epoch"] is not None
        require(not covers, f"{what}: something is covered, but its start is not known")


def list_state(manifest, state):
    print(f"  generation {manifest['generation']} of {manifest['created_at']} by {manifest['created_by']}")
    print(f"  made of {len(manifest['layers'])} layers and its own changes; complete: {manifest['complete']}")
    print(f"  cluster {manifest['cluster_id']}, source cluster id {manifest['source_cluster_id']}")
    current = {topic["name"]: number for number, topic in sorted(state.topics.items())}
    for number, topic in sorted(state.topics.items()):
        which = "" if current[topic["name"]] == number else " (before it was deleted)"
        print(f"  topic {number} {topic['name']}{which} {topic['topic_id']} {json.dumps(topic['configs'])}")
        for (of_topic, _), partition in sorted(state.partitions.items()):
            if of_topic != number:
                continue
            gaps = "".join(f", gap {gap['from']} to {gap['to']} ({gap['cause']})" for gap in partition["gaps"])
            trouble = f", trouble: {partition['trouble']}" if partition["trouble"] else ""
            start = "?" if partition.get("start_unknown") else partition["log_start_offset"]
            print(
                f"    partition {partition['partition']}: {start} to {partition['end_offset']},"
                f" stored {partition['first_offset']} to {partition['last_offset']},"
                f" {partition['records']} records{gaps}{trouble}"
            )
    for group_id, group in sorted(state.groups.items()):
        print(f"  group {json.dumps(group_id)} ({group['kind']}, {group['state']})")
        for (topic, partition), at in sorted(group["positions"].items()):
            print(f"    {topic}-{partition}: {at['offset']} {json.dumps(at['metadata'])}")


def read_object(folder, name):
    with open(os.path.join(folder, *name.split("/")), "rb") as file:
        return file.read()


def check_segment(folder, name, described, numbers):
    data = read_object(folder, name)
    print(f"  segment {name}: {len(data)} bytes")
    segment = Segment(data)
    for block in segment.blocks:
        list_block(segment, *block)
    require(described["id"].endswith(f"-{segment.nonce:016x}"), "writer nonce is not that of the name")
    require(summaries(segment, numbers) == described["partitions"], "the manifest describes other blocks")
    require(len(data) == described["bytes"], "length is not that of the manifest")
    require(blake3(data) == described["blake3"], "BLAKE3 is not that of the manifest")


def manifest_name(generation):
    return f"{(1 << 64) - 1 - generation:016x}-{generation}.manifest"


def read_generation(folder, encoded, file):
    """The manifest of a file, which says what its name says; and its bytes."""
    data = read_object(folder, f"{encoded}/manifests/{file}")
    manifest = read_manifest(data)
    require(file == manifest_name(manifest["generation"]), "generation is not that of the name")
    require(encode_id(manifest["backup_id"]) == encoded, "backup id is not that of the name")
    return manifest, data


def check_backup(folder, encoded):
    backup_id = decode_id(encoded)
    require(backup_id is not None, "not an encoded backup id")
    print(f"backup {json.dumps(backup_id)}")
    manifests = sorted(os.listdir(os.path.join(folder, encoded, "manifests")), key=str.encode)
    require(manifests, "no manifest")
    place = newest_place = f"{encoded}/manifests/{manifests[0]}"
    try:
        newest, _ = read_generation(folder, encoded, manifests[0])
        layers = newest["layers"]
        require(len(layers) <= 65536, "too many layers")
        check_sorted("layers", [layer["generation"] for layer in layers] + [newest["generation"]])
        state = State()
        before = 0
        for number, layer in enumerate(layers):
            file = manifest_name(layer["generation"])
            place = f"{encoded}/manifests/{file}"
            manifest, data = read_generation(folder, encoded, file)
            digest = re.match(rb"[^\n]*sha256:([0-9a-f]{64})\n", data)[1].decode()
            require((len(data), digest) == (layer["bytes"], layer["sha256"]), "not the layer that was meant")
            require(manifest["layers"] == layers[:number], "it was built on other layers")
            state.apply(manifest["changes"], range(before + 1, manifest["generation"] + 1))
            before = manifest["generation"]
        place = newest_place
        state.apply(newest["changes"], range(before + 1, newest["generation"] + 1))
        list_state(newest, state)
        numbers = {(topic["name"], uuid.UUID(topic["topic_id"]).bytes): number for number, topic in state.topics.items()}
        for described in sorted(state.segments.values(), key=lambda segment: segment["id"]):
            place = f"{encoded}/segments/{described['id']}.segment"
            check_segment(folder, place, described, numbers)
    except (Damaged, OSError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{place}: {error}") from error


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        folders = (name for name in os.listdir(sys.argv[1]) if name != ".kafka-backup-probe")
        for encoded in sorted(folders, key=str.encode):
            check_backup(sys.argv[1], encoded)
    except (Damaged, OSError) as error:
        print(f"read_backup.py: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
