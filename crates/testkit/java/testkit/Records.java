package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** Records and positions as JSON; byte strings are Base64, absent ones null. */
final class Records {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private Records() {}

    static ObjectNode write(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode node = NODES.objectNode();
        node.put("topic", record.topic());
        node.put("partition", record.partition());
        node.put("offset", record.offset());
        node.put("timestamp", record.timestamp());
        node.put("timestamp_type", record.timestampType().name);
        node.put("key", record.key());
        node.put("value", record.value());
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(header.value());
        }
        record.leaderEpoch().ifPresent(epoch -> node.put("leader_epoch", epoch));
        return node;
    }

    static ProducerRecord<byte[], byte[]> read(JsonNode node) throws IOException {
        List<Header> headers = new ArrayList<>();
        JsonNode given = node.get("headers");
        if (given != null) {
            for (JsonNode header : given) {
                headers.add(new RecordHeader(header.get(0).textValue(), bytes(header.get(1))));
            }
        }
        JsonNode timestamp = node.get("timestamp");
        return new ProducerRecord<>(
                node.get("topic").textValue(),
                node.get("partition").intValue(),
                timestamp == null || timestamp.isNull() ? null : timestamp.longValue(),
                bytes(node.get("key")),
                bytes(node.get("value")),
                headers);
    }

    static byte[] bytes(JsonNode node) throws IOException {
        return node == null || node.isNull() ? null : node.binaryValue();
    }

    /** {@code {"topic": ..., "partition": ...}}. */
    static TopicPartition partition(JsonNode node) {
        return new TopicPartition(node.get("topic").textValue(), node.get("partition").intValue());
    }

    static List<TopicPartition> partitions(JsonNode list) {
        List<TopicPartition> partitions = new ArrayList<>();
        for (JsonNode node : list) {
            partitions.add(partition(node));
        }
        return partitions;
    }

    static ObjectNode write(TopicPartition partition) {
        return NODES.objectNode().put("topic", partition.topic()).put("partition", partition.partition());
    }
}
