package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.SharePartitionOffsetInfo;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Share groups: members that read and acknowledge, and the offsets from which a group reads. */
final class ShareCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private final Clients clients;
    private final Map<Long, Member> members = new ConcurrentHashMap<>();
    private final AtomicLong next = new AtomicLong(1);

    ShareCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("share_join", this::join);
        commands.put("share_leave", this::leave);
        commands.put("share_offsets", this::offsets);
    }

    /** Joins, and returns when so many records were read and acknowledged. Where nothing is known it begins at the start. */
    private void join(JsonNode args, Reply reply) throws Exception {
        String group = args.get("group").textValue();
        clients.admin(args).incrementalAlterConfigs(Collections.singletonMap(
                new ConfigResource(ConfigResource.Type.GROUP, group),
                Collections.singleton(new AlterConfigOp(
                        new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET)))).all().get();
        Map<String, Object> properties = Clients.properties(args);
        properties.put(ConsumerConfig.GROUP_ID_CONFIG, group);
        Member member = new Member(
                new KafkaShareConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer()),
                args.get("topic").textValue(), args.get("count").intValue());
        member.start();
        boolean done = member.read.await(args.get("timeout_ms").longValue(), TimeUnit.MILLISECONDS);
        if (!done || member.failed != null) {
            member.leave();
            throw member.failed != null ? member.failed : new TimeoutException("did not read so many records");
        }
        long id = next.getAndIncrement();
        members.put(id, member);
        ArrayNode offsets = NODES.arrayNode();
        member.offsets.forEach(offsets::add);
        reply.ok(NODES.objectNode().put("member", id).set("offsets", offsets));
    }

    private void leave(JsonNode args, Reply reply) throws Exception {
        Member member = members.remove(args.get("member").longValue());
        if (member != null) {
            member.leave();
        }
        reply.ok();
    }

    private void offsets(JsonNode args, Reply reply) throws Exception {
        String group = args.get("group").textValue();
        Map<TopicPartition, SharePartitionOffsetInfo> found = new TreeMap<>(
                Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition));
        clients.admin(args).listShareGroupOffsets(Collections.singletonMap(group, new ListShareGroupOffsetsSpec()))
                .partitionsToOffsetInfo(group).get().forEach((partition, info) -> {
                    if (info != null) {
                        found.put(partition, info);
                    }
                });
        ArrayNode list = NODES.arrayNode();
        found.forEach((partition, info) ->
                list.addArray().add(partition.topic()).add(partition.partition()).add(info.startOffset()));
        reply.ok(list);
    }

    /** Polls, and so acknowledges what it read before, until it is told to leave. */
    private static final class Member extends Thread {
        private final KafkaShareConsumer<byte[], byte[]> consumer;
        private final String topic;
        private final int count;
        private final CountDownLatch read = new CountDownLatch(1);
        private final List<Long> offsets = Collections.synchronizedList(new ArrayList<>());
        private volatile RuntimeException failed;

        Member(KafkaShareConsumer<byte[], byte[]> consumer, String topic, int count) {
            this.consumer = consumer;
            this.topic = topic;
            this.count = count;
            setDaemon(true);
        }

        @Override
        public void run() {
            try (KafkaShareConsumer<byte[], byte[]> closing = consumer) {
                closing.subscribe(Collections.singleton(topic));
                while (true) {
                    ConsumerRecords<byte[], byte[]> records = closing.poll(Duration.ofMillis(200));
                    if (!records.isEmpty()) {
                        records.forEach(record -> offsets.add(record.offset()));
                        closing.commitSync();
                    }
                    if (offsets.size() >= count) {
                        read.countDown();
                    }
                }
            } catch (WakeupException asked) {
                // Told to leave; closing the consumer does.
            } catch (RuntimeException thrown) {
                failed = thrown;
                read.countDown();
            }
        }

        void leave() throws InterruptedException {
            consumer.wakeup();
            join();
        }
    }
}
