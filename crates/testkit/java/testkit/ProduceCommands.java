package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Producers, each kept under a number until it is closed.
 *
 * <p>A producer lingers far longer than any test, so that nothing is sent before a flush: what is sent between two flushes
 * makes one batch per partition, as long as it fits the batch size.
 */
final class ProduceCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    private static final int PART = 10_000;
    private static final long OLD_BROKERS_PAUSE_MS = 500;

    private final Clients clients;
    private final Map<Long, Open> producers = new ConcurrentHashMap<>();
    private final AtomicLong next = new AtomicLong(1);

    ProduceCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("producer_open", this::open);
        commands.put("producer_send", this::send);
        commands.put("producer_flush", this::flush);
        commands.put("producer_begin", (args, reply) -> {
            producer(args).producer.beginTransaction();
            reply.ok();
        });
        commands.put("producer_commit", (args, reply) -> {
            Open open = producer(args);
            open.producer.commitTransaction();
            awaitMarkers(args, open);
            reply.ok();
        });
        commands.put("producer_abort", (args, reply) -> {
            Open open = producer(args);
            open.producer.abortTransaction();
            open.sent.clear();
            awaitMarkers(args, open);
            reply.ok();
        });
        commands.put("producer_send_offsets", (args, reply) -> {
            producer(args).producer.sendOffsetsToTransaction(GroupCommands.readOffsets(args.get("offsets")),
                    new ConsumerGroupMetadata(args.get("group").textValue()));
            reply.ok();
        });
        commands.put("producer_close", this::close);
        commands.put("generate", this::generate);
    }

    private void open(JsonNode args, Reply reply) {
        Map<String, Object> properties = new HashMap<>();
        properties.put(ProducerConfig.LINGER_MS_CONFIG, 600_000);
        properties.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 700_000);
        properties.put(ProducerConfig.BATCH_SIZE_CONFIG, 1 << 20);
        properties.put(ProducerConfig.BUFFER_MEMORY_CONFIG, 256 << 20);
        properties.put(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, 64 << 20);
        properties.putAll(Clients.properties(args));
        KafkaProducer<byte[], byte[]> producer = create(properties);
        if (properties.containsKey(ProducerConfig.TRANSACTIONAL_ID_CONFIG)) {
            try {
                producer.initTransactions();
            } catch (RuntimeException failed) {
                producer.close(Duration.ZERO);
                throw failed;
            }
        }
        long id = next.getAndIncrement();
        producers.put(id, new Open(producer, (String) properties.get(ProducerConfig.TRANSACTIONAL_ID_CONFIG)));
        reply.ok(NODES.objectNode().put("producer", id));
    }

    private static KafkaProducer<byte[], byte[]> create(Map<String, Object> properties) {
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private Open producer(JsonNode args) {
        Open open = producers.get(args.get("producer").longValue());
        if (open == null) {
            throw new IllegalArgumentException("no such producer: " + args.get("producer"));
        }
        return open;
    }

    /**
     * Waits until the markers are in all partitions: the coordinator answers before it has written them.
     *
     * <p>Brokers before 3.0 do not tell whether they have; there it waits a moment.
     */
    private void awaitMarkers(JsonNode args, Open open) throws Exception {
        Admin admin = clients.admin(args);
        try {
            TopicCommands.await("the end of transaction " + open.transactionalId, () -> {
                TransactionState state = admin.describeTransactions(Collections.singleton(open.transactionalId)).all()
                        .get().get(open.transactionalId).state();
                return state != TransactionState.PREPARE_COMMIT && state != TransactionState.PREPARE_ABORT;
            });
        } catch (ExecutionException failed) {
            if (!(failed.getCause() instanceof UnsupportedVersionException)) {
                throw failed;
            }
            Thread.sleep(OLD_BROKERS_PAUSE_MS);
        }
    }

    private void send(JsonNode args, Reply reply) throws Exception {
        Open open = producer(args);
        for (JsonNode record : args.get("records")) {
            open.sent.add(open.producer.send(Records.read(record)));
        }
        reply.ok();
    }

    /** Sends what was given since the last flush and answers with offset and timestamp of each record, in order. */
    private void flush(JsonNode args, Reply reply) throws Exception {
        Open open = producer(args);
        open.producer.flush();
        List<Future<RecordMetadata>> sent = new ArrayList<>(open.sent);
        open.sent.clear();
        ArrayNode part = NODES.arrayNode();
        for (Future<RecordMetadata> future : sent) {
            RecordMetadata written = future.get();
            part.addObject().put("offset", written.offset()).put("timestamp", written.timestamp());
            if (part.size() == PART) {
                reply.part(part);
                part = NODES.arrayNode();
            }
        }
        reply.part(part);
        reply.ok();
    }

    private void close(JsonNode args, Reply reply) {
        Open open = producers.remove(args.get("producer").longValue());
        if (open != null) {
            open.producer.close(Duration.ofMillis(args.get("timeout_ms").longValue()));
        }
        reply.ok();
    }

    /** Many records, made here because they would be too many to send over a pipe. */
    private void generate(JsonNode args, Reply reply) throws Exception {
        Map<String, Object> properties = new HashMap<>();
        properties.put(ProducerConfig.LINGER_MS_CONFIG, 20);
        properties.put(ProducerConfig.BATCH_SIZE_CONFIG, 256 << 10);
        properties.put(ProducerConfig.BUFFER_MEMORY_CONFIG, 128 << 20);
        properties.putAll(Clients.properties(args));
        long failures = 0;
        try (KafkaProducer<byte[], byte[]> producer = create(properties)) {
            failures = new Generator(args).run(producer);
        }
        if (failures > 0) {
            throw new IllegalStateException(failures + " generated records were not written");
        }
        ObjectNode done = NODES.objectNode();
        reply.ok(done);
    }

    private static final class Open {
        private final KafkaProducer<byte[], byte[]> producer;
        private final String transactionalId;
        private final List<Future<RecordMetadata>> sent = new ArrayList<>();

        Open(KafkaProducer<byte[], byte[]> producer, String transactionalId) {
            this.producer = producer;
            this.transactionalId = transactionalId;
        }
    }
}
