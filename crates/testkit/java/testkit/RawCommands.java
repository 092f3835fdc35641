package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.Map;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.message.FetchRequestData;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.requests.AbstractRequest;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.FetchRequest;
import org.apache.kafka.common.requests.FetchResponse;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse;
import org.apache.kafka.common.requests.RequestHeader;

/** Produce and fetch requests around record bytes that no client looks at; over an unencrypted listener. */
final class RawCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    /** The last versions that name topics by name, and that every supported broker has. */
    private static final short PRODUCE_VERSION = 9;
    private static final short FETCH_VERSION = 12;

    private final Clients clients;

    RawCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("raw_produce", this::produce);
        commands.put("raw_fetch", this::fetch);
    }

    private void produce(JsonNode args, Reply reply) throws Exception {
        TopicPartition partition = Records.partition(args);
        ProduceRequestData data = new ProduceRequestData();
        data.setAcks(args.get("acks").shortValue());
        data.setTimeoutMs(30_000);
        if (args.hasNonNull("transactional_id")) {
            data.setTransactionalId(args.get("transactional_id").textValue());
        }
        data.topicData().add(new ProduceRequestData.TopicProduceData()
                .setName(partition.topic())
                .setPartitionData(Collections.singletonList(new ProduceRequestData.PartitionProduceData()
                        .setIndex(partition.partition())
                        .setRecords(MemoryRecords.readableRecords(ByteBuffer.wrap(Records.bytes(args.get("records"))))))));
        ProduceResponse response = (ProduceResponse) exchange(args, partition, ApiKeys.PRODUCE, PRODUCE_VERSION,
                new ProduceRequest(data, PRODUCE_VERSION));
        ProduceResponseData.PartitionProduceResponse written =
                response.data().responses().iterator().next().partitionResponses().get(0);
        ObjectNode node = NODES.objectNode();
        node.put("error_code", written.errorCode());
        node.put("error_message", written.errorMessage());
        node.put("base_offset", written.baseOffset());
        node.put("log_append_time", written.logAppendTimeMs());
        node.put("log_start_offset", written.logStartOffset());
        reply.ok(node);
    }

    private void fetch(JsonNode args, Reply reply) throws Exception {
        TopicPartition partition = Records.partition(args);
        int maxBytes = args.get("max_bytes").intValue();
        FetchRequestData data = new FetchRequestData()
                .setMaxWaitMs(100)
                .setMinBytes(1)
                .setMaxBytes(maxBytes)
                .setIsolationLevel((byte) (args.get("isolation").textValue().equals("read_committed") ? 1 : 0))
                .setTopics(Collections.singletonList(new FetchRequestData.FetchTopic()
                        .setTopic(partition.topic())
                        .setPartitions(Collections.singletonList(new FetchRequestData.FetchPartition()
                                .setPartition(partition.partition())
                                .setFetchOffset(args.get("offset").longValue())
                                .setPartitionMaxBytes(maxBytes)))));
        FetchResponse response = (FetchResponse) exchange(args, partition, ApiKeys.FETCH, FETCH_VERSION,
                new FetchRequest(data, FETCH_VERSION));
        FetchResponseData.PartitionData read = response.data().responses().get(0).partitions().get(0);
        ObjectNode node = NODES.objectNode();
        node.put("error_code", read.errorCode());
        node.put("high_watermark", read.highWatermark());
        node.put("last_stable_offset", read.lastStableOffset());
        node.put("log_start_offset", read.logStartOffset());
        ArrayNode aborted = node.putArray("aborted");
        if (read.abortedTransactions() != null) {
            for (FetchResponseData.AbortedTransaction one : read.abortedTransactions()) {
                aborted.addObject().put("producer_id", one.producerId()).put("first_offset", one.firstOffset());
            }
        }
        node.put("records", bytes((MemoryRecords) read.records()));
        reply.ok(node);
    }

    private static byte[] bytes(MemoryRecords records) {
        if (records == null) {
            return new byte[0];
        }
        ByteBuffer buffer = records.buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private AbstractResponse exchange(
            JsonNode args, TopicPartition partition, ApiKeys key, short version, AbstractRequest request)
            throws Exception {
        Node leader = clients.admin(args).describeTopics(Collections.singleton(partition.topic())).allTopicNames().get()
                .get(partition.topic()).partitions().get(partition.partition()).leader();
        if (leader == null || leader.isEmpty()) {
            throw new IOException(partition + " has no leader");
        }
        return exchange(leader, key, version, request);
    }

    /** Sends one request to a broker over a connection of its own. */
    static AbstractResponse exchange(Node broker, ApiKeys key, short version, AbstractRequest request)
            throws IOException {
        RequestHeader header = new RequestHeader(key, version, "testkit-raw", 1);
        try (Socket socket = new Socket(broker.host(), broker.port())) {
            socket.setSoTimeout(60_000);
            ByteBuffer body = request.serializeWithHeader(header);
            ByteBuffer frame = ByteBuffer.allocate(4 + body.remaining());
            frame.putInt(body.remaining()).put(body);
            socket.getOutputStream().write(frame.array());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            return AbstractResponse.parseResponse(ByteBuffer.wrap(answer), header);
        }
    }
}
