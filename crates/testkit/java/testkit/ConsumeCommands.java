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
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** Reads partitions without a group: from an offset to the end that the partition has when the request arrives. */
final class ConsumeCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    private static final int PART_RECORDS = 2_000;
    private static final int PART_BYTES = 4 << 20;

    private final Clients clients;

    ConsumeCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("consume", this::consume);
    }

    private void consume(JsonNode args, Reply reply) throws Exception {
        long deadline = System.nanoTime() + args.get("timeout_ms").longValue() * 1_000_000L;
        long limit = args.hasNonNull("limit") ? args.get("limit").longValue() : Long.MAX_VALUE;
        List<TopicPartition> partitions = Records.partitions(args.get("partitions"));
        Map<String, Object> properties = new HashMap<>();
        properties.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, PART_RECORDS);
        try (KafkaConsumer<byte[], byte[]> consumer = clients.consumer(args, properties)) {
            consumer.assign(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            Map<TopicPartition, Long> starts = consumer.beginningOffsets(partitions);
            for (int i = 0; i < partitions.size(); i++) {
                JsonNode from = args.get("partitions").get(i).get("from");
                TopicPartition partition = partitions.get(i);
                consumer.seek(partition, from == null || from.isNull() ? starts.get(partition) : from.longValue());
            }
            Output output = new Output(reply);
            List<TopicPartition> open = new ArrayList<>(partitions);
            while (true) {
                open.removeIf(partition -> {
                    boolean done = consumer.position(partition) >= ends.get(partition);
                    if (done) {
                        consumer.pause(Collections.singleton(partition));
                    }
                    return done;
                });
                if (open.isEmpty() || output.count >= limit) {
                    break;
                }
                if (System.nanoTime() > deadline) {
                    throw new TimeoutException("did not reach the end of " + open + ", read " + output.count + " records");
                }
                ConsumerRecords<byte[], byte[]> polled = consumer.poll(Duration.ofMillis(200));
                for (ConsumerRecord<byte[], byte[]> record : polled) {
                    TopicPartition partition = new TopicPartition(record.topic(), record.partition());
                    if (record.offset() < ends.get(partition) && output.count < limit) {
                        output.add(record);
                    }
                }
            }
            output.flush();
            ArrayNode positions = NODES.arrayNode();
            for (TopicPartition partition : partitions) {
                ObjectNode node = positions.addObject();
                node.put("end", ends.get(partition));
            }
            reply.ok(positions);
        }
    }

    /** Collects records into replies of bounded size. */
    private static final class Output {
        private final Reply reply;
        private ArrayNode part = NODES.arrayNode();
        private int bytes;
        private long count;

        Output(Reply reply) {
            this.reply = reply;
        }

        void add(ConsumerRecord<byte[], byte[]> record) {
            part.add(Records.write(record));
            count++;
            bytes += Math.max(0, record.serializedKeySize()) + Math.max(0, record.serializedValueSize());
            if (part.size() >= PART_RECORDS || bytes >= PART_BYTES) {
                flush();
            }
        }

        void flush() {
            reply.part(part);
            part = NODES.arrayNode();
            bytes = 0;
        }
    }
}
