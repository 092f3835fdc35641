package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics: create, delete, describe, configure, move; where partitions begin and end. */
final class TopicCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private final Clients clients;

    TopicCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("topic_create", this::create);
        commands.put("topic_delete", this::delete);
        commands.put("topic_list", this::list);
        commands.put("topic_describe", this::describe);
        commands.put("topic_configs", this::configs);
        commands.put("topic_alter_configs", this::alterConfigs);
        commands.put("topic_add_partitions", this::addPartitions);
        commands.put("topic_reassign", this::reassign);
        commands.put("records_delete", this::deleteRecords);
        commands.put("offsets_list", this::offsets);
    }

    private void create(JsonNode args, Reply reply) throws Exception {
        Admin admin = clients.admin(args);
        String name = args.get("topic").textValue();
        int partitions = args.get("partitions").intValue();
        Optional<Short> replication = args.hasNonNull("replication_factor")
                ? Optional.of(args.get("replication_factor").shortValue())
                : Optional.empty();
        Map<String, String> configs = new HashMap<>();
        args.get("configs").properties().forEach(e -> configs.put(e.getKey(), e.getValue().textValue()));
        NewTopic topic = new NewTopic(name, Optional.of(partitions), replication).configs(configs);
        admin.createTopics(Collections.singleton(topic)).all().get();
        await("leaders of " + name, () -> hasLeaders(admin, name, partitions));
        reply.ok();
    }

    private static boolean hasLeaders(Admin admin, String name, int partitions) throws Exception {
        try {
            TopicDescription topic = describe(admin, name);
            return topic.partitions().size() == partitions
                    && topic.partitions().stream().allMatch(p -> p.leader() != null && !p.leader().isEmpty());
        } catch (ExecutionException failed) {
            if (failed.getCause() instanceof UnknownTopicOrPartitionException) {
                return false;
            }
            throw failed;
        }
    }

    private void delete(JsonNode args, Reply reply) throws Exception {
        Admin admin = clients.admin(args);
        String name = args.get("topic").textValue();
        admin.deleteTopics(Collections.singleton(name)).all().get();
        await("removal of " + name, () -> !admin.listTopics().names().get().contains(name));
        reply.ok();
    }

    private void list(JsonNode args, Reply reply) throws Exception {
        ListTopicsOptions options = new ListTopicsOptions().listInternal(args.get("internal").booleanValue());
        ArrayNode names = NODES.arrayNode();
        clients.admin(args).listTopics(options).names().get().stream().sorted().forEach(names::add);
        reply.ok(names);
    }

    private static TopicDescription describe(Admin admin, String name) throws Exception {
        return admin.describeTopics(Collections.singleton(name)).allTopicNames().get().get(name);
    }

    private void describe(JsonNode args, Reply reply) throws Exception {
        TopicDescription topic = describe(clients.admin(args), args.get("topic").textValue());
        ObjectNode node = NODES.objectNode();
        node.put("name", topic.name());
        node.put("topic_id", topic.topicId().toString());
        node.put("internal", topic.isInternal());
        ArrayNode partitions = node.putArray("partitions");
        for (TopicPartitionInfo info : topic.partitions()) {
            ObjectNode partition = partitions.addObject();
            partition.put("partition", info.partition());
            if (info.leader() != null && !info.leader().isEmpty()) {
                partition.put("leader", info.leader().id());
            }
            ArrayNode replicas = partition.putArray("replicas");
            info.replicas().stream().map(Node::id).forEach(replicas::add);
            ArrayNode inSync = partition.putArray("in_sync");
            info.isr().stream().map(Node::id).forEach(inSync::add);
        }
        reply.ok(node);
    }

    private void configs(JsonNode args, Reply reply) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, args.get("topic").textValue());
        boolean all = args.get("all").booleanValue();
        ObjectNode node = NODES.objectNode();
        for (ConfigEntry entry : clients.admin(args).describeConfigs(Collections.singleton(resource)).all().get()
                .get(resource).entries()) {
            if (all || entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG) {
                node.put(entry.name(), entry.value());
            }
        }
        reply.ok(node);
    }

    private void alterConfigs(JsonNode args, Reply reply) throws Exception {
        Admin admin = clients.admin(args);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, args.get("topic").textValue());
        List<AlterConfigOp> operations = new ArrayList<>();
        args.get("configs").properties().forEach(entry -> {
            JsonNode value = entry.getValue();
            operations.add(value.isNull()
                    ? new AlterConfigOp(new ConfigEntry(entry.getKey(), null), AlterConfigOp.OpType.DELETE)
                    : new AlterConfigOp(new ConfigEntry(entry.getKey(), value.textValue()), AlterConfigOp.OpType.SET));
        });
        admin.incrementalAlterConfigs(Collections.singletonMap(resource, operations)).all().get();
        reply.ok();
    }

    private void addPartitions(JsonNode args, Reply reply) throws Exception {
        Admin admin = clients.admin(args);
        String name = args.get("topic").textValue();
        int total = args.get("partitions").intValue();
        admin.createPartitions(Collections.singletonMap(name, NewPartitions.increaseTo(total))).all().get();
        await("leaders of " + name, () -> hasLeaders(admin, name, total));
        reply.ok();
    }

    /** Moves a partition's replicas and makes the first of them the leader; waits until it is. */
    private void reassign(JsonNode args, Reply reply) throws Exception {
        Admin admin = clients.admin(args);
        TopicPartition partition = Records.partition(args);
        List<Integer> replicas = new ArrayList<>();
        args.get("replicas").forEach(replica -> replicas.add(replica.intValue()));
        admin.alterPartitionReassignments(
                Collections.singletonMap(partition, Optional.of(new NewPartitionReassignment(replicas)))).all().get();
        Set<TopicPartition> one = Collections.singleton(partition);
        await("reassignment of " + partition, () -> admin.listPartitionReassignments(one).reassignments().get().isEmpty());
        await("leadership of " + partition, () -> {
            TopicPartitionInfo info = describe(admin, partition.topic()).partitions().get(partition.partition());
            boolean moved = info.leader() != null && info.leader().id() == replicas.get(0);
            if (!moved && info.isr().stream().anyMatch(node -> node.id() == replicas.get(0))) {
                admin.electLeaders(ElectionType.PREFERRED, new HashSet<>(one)).partitions().get();
            }
            return moved;
        });
        reply.ok();
    }

    private void deleteRecords(JsonNode args, Reply reply) throws Exception {
        TopicPartition partition = Records.partition(args);
        RecordsToDelete before = RecordsToDelete.beforeOffset(args.get("before").longValue());
        long start = clients.admin(args).deleteRecords(Collections.singletonMap(partition, before)).lowWatermarks()
                .get(partition).get().lowWatermark();
        reply.ok(NODES.objectNode().put("log_start_offset", start));
    }

    private void offsets(JsonNode args, Reply reply) throws Exception {
        JsonNode timestamp = args.get("timestamp");
        OffsetSpec spec = spec(args.get("spec").textValue(), timestamp);
        IsolationLevel isolation = args.get("isolation").textValue().equals("read_committed")
                ? IsolationLevel.READ_COMMITTED
                : IsolationLevel.READ_UNCOMMITTED;
        Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
        List<TopicPartition> partitions = Records.partitions(args.get("partitions"));
        partitions.forEach(partition -> asked.put(partition, spec));
        Map<TopicPartition, ListOffsetsResultInfo> found =
                clients.admin(args).listOffsets(asked, new ListOffsetsOptions(isolation)).all().get();
        ArrayNode list = NODES.arrayNode();
        for (TopicPartition partition : partitions) {
            ListOffsetsResultInfo info = found.get(partition);
            ObjectNode node = list.addObject();
            node.put("offset", info.offset());
            node.put("timestamp", info.timestamp());
            info.leaderEpoch().ifPresent(epoch -> node.put("leader_epoch", epoch));
        }
        reply.ok(list);
    }

    /** Polls for what the controller has accepted but not every broker has seen yet. */
    static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new TimeoutException("waited in vain for " + what);
            }
            Thread.sleep(20);
        }
    }

    /** Something that becomes true. */
    interface Condition {
        boolean holds() throws Exception;
    }

    private static OffsetSpec spec(String name, JsonNode timestamp) {
        switch (name) {
            case "earliest":
                return OffsetSpec.earliest();
            case "earliest_local":
                return OffsetSpec.earliestLocal();
            case "latest":
                return OffsetSpec.latest();
            default:
                return OffsetSpec.forTimestamp(timestamp.longValue());
        }
    }
}
