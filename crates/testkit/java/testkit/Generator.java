package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Records that are JSON events; record {@code i} depends on {@code i} and the seed only.
 *
 * <p>Record {@code i} goes to partition {@code i % partitions}, with key {@code key-<i>} and an {@link OrderEvent} of the
 * asked size.
 */
final class Generator {
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
                    firstTimestamp + i * timestampStep, ("key-" + i).getBytes(StandardCharsets.UTF_8),
                    OrderEvent.of(i, seed, valueBytes));
            producer.send(record, (written, failed) -> {
                if (failed != null) {
                    failures.incrementAndGet();
                }
            });
        }
        producer.flush();
        return failures.get();
    }
}
