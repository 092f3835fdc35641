package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;

/** Consumers that join a group, of the classic or the consumer protocol: read some and leave, or join and stay. */
final class MemberCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private final Clients clients;
    private final Map<Long, Member> members = new ConcurrentHashMap<>();
    private final AtomicLong next = new AtomicLong(1);

    MemberCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("group_consume", this::consume);
        commands.put("member_join", this::join);
        commands.put("member_leave", this::leave);
    }

    private static List<String> topics(JsonNode args) {
        List<String> topics = new ArrayList<>();
        args.get("topics").forEach(topic -> topics.add(topic.textValue()));
        return topics;
    }

    private KafkaConsumer<byte[], byte[]> subscriber(JsonNode args) {
        Map<String, Object> properties = new HashMap<>();
        properties.put(ConsumerConfig.GROUP_ID_CONFIG, args.get("group").textValue());
        properties.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, args.get("protocol").textValue());
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        return clients.consumer(args, properties);
    }

    /** Reads the asked number of records as a member, commits exactly what was read, and leaves. */
    private void consume(JsonNode args, Reply reply) throws Exception {
        long count = args.get("count").longValue();
        long deadline = System.nanoTime() + args.get("timeout_ms").longValue() * 1_000_000L;
        Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
        ArrayNode records = NODES.arrayNode();
        try (KafkaConsumer<byte[], byte[]> consumer = subscriber(args)) {
            consumer.subscribe(topics(args));
            while (records.size() < count) {
                if (System.nanoTime() > deadline) {
                    throw new TimeoutException("read " + records.size() + " of " + count + " records");
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    if (records.size() < count) {
                        records.add(Records.write(record));
                        positions.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(
                                record.offset() + 1, record.leaderEpoch(), args.get("metadata").textValue()));
                    }
                }
            }
            if (args.get("commit").booleanValue()) {
                consumer.commitSync(positions);
            }
        }
        reply.part(records);
        reply.ok();
    }

    private void join(JsonNode args, Reply reply) throws Exception {
        Member member = new Member(subscriber(args), topics(args));
        member.start();
        if (!member.assigned.await(args.get("timeout_ms").longValue(), TimeUnit.MILLISECONDS)) {
            member.leave();
            throw new TimeoutException("was not given any assignment");
        }
        if (member.failed != null) {
            throw member.failed;
        }
        long id = next.getAndIncrement();
        members.put(id, member);
        ObjectNode node = NODES.objectNode();
        node.put("member", id);
        node.put("member_id", member.memberId);
        reply.ok(node);
    }

    private void leave(JsonNode args, Reply reply) throws Exception {
        Member member = members.remove(args.get("member").longValue());
        if (member != null) {
            member.leave();
        }
        reply.ok();
    }

    /** Polls, so that it stays a member, but its partitions are paused: it reads nothing and commits nothing. */
    private static final class Member extends Thread {
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final List<String> topics;
        private final CountDownLatch assigned = new CountDownLatch(1);
        private volatile String memberId;
        private volatile RuntimeException failed;

        Member(KafkaConsumer<byte[], byte[]> consumer, List<String> topics) {
            this.consumer = consumer;
            this.topics = topics;
            setDaemon(true);
        }

        @Override
        public void run() {
            try (KafkaConsumer<byte[], byte[]> closing = consumer) {
                closing.subscribe(topics, new Pausing());
                while (true) {
                    closing.poll(Duration.ofMillis(200));
                }
            } catch (WakeupException asked) {
                // Told to leave; closing the consumer does.
            } catch (RuntimeException thrown) {
                failed = thrown;
                assigned.countDown();
            }
        }

        void leave() throws InterruptedException {
            consumer.wakeup();
            join();
        }

        private final class Pausing implements ConsumerRebalanceListener {
            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                consumer.pause(partitions);
                memberId = consumer.groupMetadata().memberId();
                assigned.countDown();
            }

            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}

            @Override
            public void onPartitionsLost(Collection<TopicPartition> partitions) {
                onPartitionsRevoked(Collections.emptyList());
            }
        }
    }
}
