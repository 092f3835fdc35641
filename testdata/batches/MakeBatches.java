import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongPredicate;
import java.util.zip.CRC32C;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.BufferSupplier;

/**
 * Writes record batches with the classes of the Java client, and beside each file what those classes read in it.
 * With "check" as the first argument it reads files of batches instead and prints what it reads. See README.md.
 */
public final class MakeBatches {
    private static final long BASE_OFFSET = 1_000;
    private static final long TIME = 1_700_000_000_000L;
    private static final Map<String, MemoryRecords> FILES = new TreeMap<>();

    private record Input(long offset, long timestamp, byte[] key, byte[] value, Header... headers) { }

    public static void main(String[] args) throws IOException {
        if (args.length > 1 && args[0].equals("check")) {
            for (int i = 1; i < args.length; i++) {
                System.out.print(describe(MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(Path.of(args[i]))))));
            }
            return;
        }
        everyCodec();
        largerThanABlock();
        specialBatches();
        compacted();
        Path folder = Path.of(args.length == 0 ? "." : args[0]);
        for (Map.Entry<String, MemoryRecords> file : FILES.entrySet()) {
            ByteBuffer buffer = file.getValue().buffer().duplicate();
            byte[] bytes = new byte[buffer.remaining()];
            buffer.get(bytes);
            Files.write(folder.resolve(file.getKey() + ".bin"), bytes);
            Files.writeString(folder.resolve(file.getKey() + ".json"), describe(file.getValue()));
        }
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Header header(String name, String value) {
        return new RecordHeader(name, value == null ? null : utf8(value));
    }

    /** Nulls, empty strings, duplicate and empty header names, times out of order, a varint of every usual length. */
    private static List<Input> variety() {
        List<Input> records = new ArrayList<>();
        records.add(new Input(BASE_OFFSET, TIME, utf8("key"), utf8("value")));
        records.add(new Input(BASE_OFFSET + 1, TIME - 5_000, null, utf8("no key, earlier than the first")));
        records.add(new Input(BASE_OFFSET + 2, TIME + 86_400_000, utf8("no value, a day later"), null));
        records.add(new Input(BASE_OFFSET + 3, TIME + 1, utf8(""), utf8("")));
        records.add(new Input(BASE_OFFSET + 4, TIME + 2, null, null));
        records.add(new Input(BASE_OFFSET + 5, TIME + 3, utf8("headers"), utf8("x"),
            header("same", "1"), header("other", null), header("same", "2"), header("", ""), header("same", "1"),
            header("naïve-名前", "non-ASCII name"), header("patch-me", "its name's bytes are replaced by a test")));
        records.add(new Input(BASE_OFFSET + 6, TIME + 4, utf8("long"), utf8("0123456789".repeat(30)),
            header("long", "abc".repeat(70))));
        records.add(new Input(BASE_OFFSET + 7, TIME + 5, utf8("\u0000\u0001\u007f"), new byte[] {(byte) 0xff, (byte) 0xfe, 0, 1}));
        return records;
    }

    private static Compression codec(CompressionType type) {
        return Compression.of(type).build();
    }

    private static MemoryRecordsBuilder builder(byte magic, CompressionType type, TimestampType timestamps, long append) {
        return MemoryRecords.builder(ByteBuffer.allocate(1 << 20), magic, codec(type), timestamps, BASE_OFFSET, append);
    }

    private static MemoryRecords write(MemoryRecordsBuilder builder, List<Input> records) {
        boolean headers = builder.magic() >= RecordBatch.MAGIC_VALUE_V2;
        boolean times = builder.magic() > RecordBatch.MAGIC_VALUE_V0;
        for (Input record : records) {
            long timestamp = times ? record.timestamp : RecordBatch.NO_TIMESTAMP;
            if (headers) {
                builder.appendWithOffset(record.offset, timestamp, record.key, record.value, record.headers);
            } else {
                builder.appendWithOffset(record.offset, timestamp, record.key, record.value);
            }
        }
        return builder.build();
    }

    private static void everyCodec() {
        for (CompressionType type : CompressionType.values()) {
            MemoryRecordsBuilder v2 = builder(RecordBatch.MAGIC_VALUE_V2, type, TimestampType.CREATE_TIME, RecordBatch.NO_TIMESTAMP);
            FILES.put("v2-" + type.name, write(v2, variety()));
            if (type == CompressionType.ZSTD) {
                continue;
            }
            MemoryRecordsBuilder v1 = builder(RecordBatch.MAGIC_VALUE_V1, type, TimestampType.CREATE_TIME, RecordBatch.NO_TIMESTAMP);
            FILES.put("v1-" + type.name, write(v1, variety()));
            MemoryRecordsBuilder v0 = builder(RecordBatch.MAGIC_VALUE_V0, type, TimestampType.NO_TIMESTAMP_TYPE, RecordBatch.NO_TIMESTAMP);
            FILES.put("v0-" + type.name, write(v0, variety()));
        }
    }

    /** Values that compress well and span several blocks of every codec. */
    private static void largerThanABlock() {
        List<Input> records = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            records.add(new Input(BASE_OFFSET + i, TIME + i, utf8("k" + i), utf8(("payload " + i + " of forty; ").repeat(400))));
        }
        for (CompressionType type : CompressionType.values()) {
            if (type != CompressionType.NONE) {
                MemoryRecordsBuilder builder = builder(RecordBatch.MAGIC_VALUE_V2, type, TimestampType.CREATE_TIME, RecordBatch.NO_TIMESTAMP);
                FILES.put("v2-" + type.name + "-blocks", write(builder, records));
            }
        }
        MemoryRecordsBuilder v1 = builder(RecordBatch.MAGIC_VALUE_V1, CompressionType.LZ4, TimestampType.CREATE_TIME, RecordBatch.NO_TIMESTAMP);
        FILES.put("v1-lz4-blocks", write(v1, records));
    }

    private static void specialBatches() {
        long append = TIME + 123_456;
        for (CompressionType type : List.of(CompressionType.NONE, CompressionType.GZIP)) {
            MemoryRecordsBuilder v2 = builder(RecordBatch.MAGIC_VALUE_V2, type, TimestampType.LOG_APPEND_TIME, append);
            FILES.put("v2-" + type.name + "-log-append-time", write(v2, variety()));
            MemoryRecordsBuilder v1 = builder(RecordBatch.MAGIC_VALUE_V1, type, TimestampType.LOG_APPEND_TIME, append);
            FILES.put("v1-" + type.name + "-log-append-time", write(v1, variety()));
        }
        // Producer id, epoch and sequence; a leader epoch; with and without a transaction.
        for (boolean transactional : new boolean[] {false, true}) {
            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 16), RecordBatch.MAGIC_VALUE_V2,
                codec(CompressionType.LZ4), TimestampType.CREATE_TIME, BASE_OFFSET, RecordBatch.NO_TIMESTAMP, 4_242L,
                (short) 7, Integer.MAX_VALUE - 3, transactional, 11);
            FILES.put(transactional ? "v2-transactional" : "v2-idempotent", write(builder, variety()));
        }
        // Two transaction markers behind each other.
        ByteBuffer markers = ByteBuffer.allocate(1024);
        MemoryRecords.writeEndTransactionalMarker(markers, BASE_OFFSET, TIME, 11, 4_242L, (short) 7,
            new EndTransactionMarker(ControlRecordType.COMMIT, 3));
        MemoryRecords.writeEndTransactionalMarker(markers, BASE_OFFSET + 1, TIME, 11, 4_242L, (short) 7,
            new EndTransactionMarker(ControlRecordType.ABORT, 3));
        markers.flip();
        FILES.put("v2-control", MemoryRecords.readableRecords(markers));
        // A log that was written over the years: all three formats in one slab.
        ByteBuffer mixed = ByteBuffer.allocate(1 << 16);
        for (String file : List.of("v0-gzip", "v1-snappy", "v2-none")) {
            mixed.put(FILES.get(file).buffer().duplicate());
        }
        mixed.flip();
        FILES.put("mixed-formats", MemoryRecords.readableRecords(mixed));
    }

    private static MemoryRecords filter(MemoryRecords records, LongPredicate keep) {
        MemoryRecords.RecordFilter filter = new MemoryRecords.RecordFilter(TIME + 1_000_000_000L, 3_600_000L) {
            @Override
            protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                return new BatchRetentionResult(BatchRetention.RETAIN_EMPTY, false);
            }

            @Override
            protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                return keep.test(record.offset());
            }
        };
        ByteBuffer output = ByteBuffer.allocate(1 << 20);
        records.filterTo(filter, output, BufferSupplier.NO_CACHING);
        output.flip();
        return MemoryRecords.readableRecords(output);
    }

    /** What the log cleaner leaves: gaps, first and last record gone, a delete horizon, no record at all. */
    private static void compacted() {
        for (CompressionType type : List.of(CompressionType.NONE, CompressionType.ZSTD)) {
            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1 << 16), RecordBatch.MAGIC_VALUE_V2,
                codec(type), TimestampType.CREATE_TIME, BASE_OFFSET, RecordBatch.NO_TIMESTAMP, 4_242L, (short) 7, 0, false, 11);
            MemoryRecords source = write(builder, variety());
            // A tombstone (offset 1004) stays, and gives the batch a delete horizon.
            FILES.put("v2-" + type.name + "-compacted-horizon", filter(source, offset -> offset != BASE_OFFSET && offset % 5 != 2));
            FILES.put("v2-" + type.name + "-dense-horizon", filter(source, offset -> true));
            FILES.put("v2-" + type.name + "-compacted", filter(source, offset -> offset == BASE_OFFSET + 3 || offset == BASE_OFFSET + 5));
            FILES.put("v2-" + type.name + "-emptied", filter(source, offset -> false));
        }
    }

    private static String describe(MemoryRecords records) {
        StringBuilder json = new StringBuilder("{\"batches\": [\n");
        String separator = "";
        for (MutableRecordBatch batch : records.batches()) {
            batch.ensureValid();
            json.append(separator).append("  {\"magic\": ").append(batch.magic());
            json.append(", \"base_offset\": ").append(batch.baseOffset());
            json.append(", \"last_offset\": ").append(batch.lastOffset());
            json.append(", \"next_offset\": ").append(batch.nextOffset());
            json.append(", \"size\": ").append(batch.sizeInBytes());
            json.append(", \"codec\": \"").append(batch.compressionType().name).append('"');
            json.append(", \"log_append_time\": ").append(batch.timestampType() == TimestampType.LOG_APPEND_TIME);
            if (batch instanceof DefaultRecordBatch v2) {
                json.append(",\n   \"base_timestamp\": ").append(v2.baseTimestamp());
                json.append(", \"max_timestamp\": ").append(v2.maxTimestamp());
                json.append(", \"delete_horizon\": ").append(v2.deleteHorizonMs().isPresent());
                json.append(", \"transactional\": ").append(v2.isTransactional());
                json.append(", \"control\": ").append(v2.isControlBatch());
                json.append(",\n   \"producer_id\": ").append(v2.producerId());
                json.append(", \"producer_epoch\": ").append(v2.producerEpoch());
                json.append(", \"base_sequence\": ").append(v2.baseSequence());
                json.append(", \"leader_epoch\": ").append(v2.partitionLeaderEpoch());
                json.append(", \"record_count\": ").append(v2.countOrNull());
                json.append(", \"crc\": ").append(v2.checksum());
            }
            json.append(",\n   \"records\": [");
            String comma = "\n";
            for (Record record : batch) {
                json.append(comma);
                describe(record, json);
                comma = ",\n";
            }
            json.append("]}");
            separator = ",\n";
        }
        return json.append("\n]}\n").toString();
    }

    private static void describe(Record record, StringBuilder json) {
        json.append("    {\"offset\": ").append(record.offset()).append(", \"timestamp\": ").append(record.timestamp());
        json.append(", \"key\": ").append(bytes(record.key())).append(", \"value\": ").append(bytes(record.value()));
        json.append(", \"headers\": [");
        String comma = "";
        for (Header header : record.headers()) {
            ByteBuffer value = header.value() == null ? null : ByteBuffer.wrap(header.value());
            json.append(comma).append('[').append(bytes(ByteBuffer.wrap(utf8(header.key())))).append(", ");
            json.append(bytes(value)).append(']');
            comma = ", ";
        }
        json.append("]}");
    }

    /** Hexadecimal, or length and CRC-32C of what would make the file long. */
    private static String bytes(ByteBuffer buffer) {
        if (buffer == null) {
            return "null";
        }
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        if (bytes.length <= 64) {
            return '"' + HexFormat.of().formatHex(bytes) + '"';
        }
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return "\"" + bytes.length + " bytes, crc32c " + String.format("%08x", crc.getValue()) + '"';
    }
}
