package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Records that look like JSON events; record {@code i} depends on {@code i} and the seed only.
 *
 * <p>Record {@code i} goes to partition {@code i % partitions} with key {@code key-<i>}, and a value of the asked size whose
 * filling compresses about as well as such events do.
 */
final class Generator {
    private static final String LETTERS = "etaoinshrdlucmfwypvbgkjqxz0123456789";

    private final String topic;
    private final int partitions;
    private final long count;
    private final int valueBytes;
    private final long firstTimestamp;
    private final long timestampStep;
    private final long seed;

    Generator(JsonNode args) {
        topic = args.get("topic").textValue();
        partitions = args.get("partitions").intValue();
        count = args.get("count").longValue();
        valueBytes = args.get("value_bytes").intValue();
        firstTimestamp = args.get("first_timestamp").longValue();
        timestampStep = args.get("timestamp_step").longValue();
        seed = args.get("seed").longValue();
    }

    /** Returns how many records failed. */
    long run(KafkaProducer<byte[], byte[]> producer) {
        AtomicLong failures = new AtomicLong();
        for (long i = 0; i < count; i++) {
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, (int) (i % partitions),
                    firstTimestamp + i * timestampStep, ("key-" + i).getBytes(StandardCharsets.UTF_8), value(i));
            producer.send(record, (written, failed) -> {
                if (failed != null) {
                    failures.incrementAndGet();
                }
            });
        }
        producer.flush();
        return failures.get();
    }

    private byte[] value(long i) {
        StringBuilder text = new StringBuilder(valueBytes + 32);
        text.append("{\"id\":").append(i).append(",\"kind\":\"order-").append(i % 7).append("\",\"text\":\"");
        long state = seed * 0x9E3779B97F4A7C15L + i + 1;
        while (text.length() < valueBytes - 2) {
            state ^= state << 13;
            state ^= state >>> 7;
            state ^= state << 17;
            // Few different words, so that it compresses, but not to nothing.
            long word = Math.floorMod(state, 509);
            for (int letter = 0; letter < 6; letter++) {
                text.append(LETTERS.charAt((int) ((word * (letter + 3) + letter) % LETTERS.length())));
            }
            text.append(' ');
        }
        text.setLength(Math.max(0, valueBytes - 2));
        return text.append("\"}").toString().getBytes(StandardCharsets.UTF_8);
    }
}
