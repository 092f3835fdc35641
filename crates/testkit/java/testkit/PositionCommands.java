package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.TopicPartition;

/**
 * What a consumer of a group reads next.
 *
 * <p>The answer comes from a consumer with that group id, which starts at the committed position on its own and may not
 * reset it. One consumer per group reads all of the group's partitions; several groups are asked at a time.
 */
final class PositionCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    private static final int AT_ONCE = 8;

    private final Clients clients;

    PositionCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("next_records", this::nextRecords);
    }

    private void nextRecords(JsonNode args, Reply reply) throws Exception {
        Map<String, List<TopicPartition>> groups = new LinkedHashMap<>();
        for (JsonNode position : args.get("positions")) {
            groups.computeIfAbsent(position.get("group").textValue(), group -> new ArrayList<>())
                    .add(Records.partition(position));
        }
        ExecutorService threads = Executors.newFixedThreadPool(AT_ONCE);
        try {
            Map<String, Future<Map<TopicPartition, ObjectNode>>> answers = new HashMap<>();
            groups.forEach((group, partitions) ->
                    answers.put(group, threads.submit(() -> new Reader(args, group, partitions).read())));
            for (JsonNode position : args.get("positions")) {
                Map<TopicPartition, ObjectNode> answer = answers.get(position.get("group").textValue()).get();
                reply.part(answer.get(Records.partition(position)));
            }
        } finally {
            threads.shutdownNow();
        }
        reply.ok();
    }

    private final class Reader {
        private final JsonNode args;
        private final String group;
        private final Set<TopicPartition> partitions;
        private final Map<TopicPartition, ObjectNode> answers = new HashMap<>();

        Reader(JsonNode args, String group, List<TopicPartition> partitions) {
            this.args = args;
            this.group = group;
            this.partitions = new HashSet<>(partitions);
        }

        Map<TopicPartition, ObjectNode> read() throws Exception {
            Map<String, Object> properties = new HashMap<>();
            properties.put(ConsumerConfig.GROUP_ID_CONFIG, group);
            try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer(args, properties)) {
                Set<TopicPartition> open = new HashSet<>();
                Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(partitions);
                for (TopicPartition partition : partitions) {
                    ObjectNode answer = Records.write(partition);
                    answers.put(partition, answer);
                    OffsetAndMetadata commit = committed.get(partition);
                    if (commit != null) {
                        answer.put("committed", commit.offset());
                        open.add(partition);
                    }
                }
                read(consumer, open);
            }
            return answers;
        }

        private void read(KafkaConsumer<byte[], byte[]> consumer, Set<TopicPartition> open) throws Exception {
            long deadline = System.nanoTime() + args.get("timeout_ms").longValue() * 1_000_000L;
            Map<TopicPartition, Long> ends = consumer.endOffsets(open);
            consumer.assign(open);
            // The end is asked first: a position at it proves that the group reads nothing from here.
            while (true) {
                open.removeIf(partition -> {
                    boolean ended = consumer.position(partition) == ends.get(partition);
                    if (ended) {
                        consumer.pause(Collections.singleton(partition));
                    }
                    return ended;
                });
                if (open.isEmpty()) {
                    return;
                }
                if (System.nanoTime() > deadline) {
                    throw new TimeoutException("group " + group + " read nothing from " + open);
                }
                try {
                    take(consumer, consumer.poll(Duration.ofMillis(200)), open);
                } catch (OffsetOutOfRangeException thrown) {
                    for (TopicPartition partition : thrown.partitions()) {
                        answers.get(partition).put("out_of_range", true);
                        open.remove(partition);
                    }
                    consumer.assign(open);
                }
            }
        }

        private void take(
                KafkaConsumer<byte[], byte[]> consumer,
                ConsumerRecords<byte[], byte[]> polled,
                Set<TopicPartition> open) {
            for (TopicPartition partition : polled.partitions()) {
                if (open.remove(partition)) {
                    ConsumerRecord<byte[], byte[]> first = polled.records(partition).get(0);
                    answers.get(partition).set("record", Records.write(first));
                    consumer.pause(Collections.singleton(partition));
                }
            }
        }
    }
}
