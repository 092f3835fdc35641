package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Consumer groups seen from outside: commits, listings, descriptions. */
final class GroupCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private final Clients clients;

    GroupCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("group_commit", this::commit);
        commands.put("group_committed", this::committed);
        commands.put("group_list", this::list);
        commands.put("group_describe", this::describe);
        commands.put("group_delete", this::delete);
        commands.put("group_delete_offsets", this::deleteOffsets);
    }

    static Map<TopicPartition, OffsetAndMetadata> readOffsets(JsonNode list) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (JsonNode node : list) {
            Optional<Integer> epoch =
                    node.hasNonNull("leader_epoch") ? Optional.of(node.get("leader_epoch").intValue()) : Optional.empty();
            offsets.put(Records.partition(node),
                    new OffsetAndMetadata(node.get("offset").longValue(), epoch, node.get("metadata").textValue()));
        }
        return offsets;
    }

    private void commit(JsonNode args, Reply reply) throws Exception {
        clients.admin(args)
                .alterConsumerGroupOffsets(args.get("group").textValue(), readOffsets(args.get("offsets"))).all().get();
        reply.ok();
    }

    private void committed(JsonNode args, Reply reply) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> found =
                clients.admin(args).listConsumerGroupOffsets(args.get("group").textValue())
                        .partitionsToOffsetAndMetadata().get();
        List<TopicPartition> partitions = new ArrayList<>(found.keySet());
        partitions.sort(Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition));
        ArrayNode list = NODES.arrayNode();
        for (TopicPartition partition : partitions) {
            OffsetAndMetadata committed = found.get(partition);
            if (committed != null) {
                ObjectNode node = Records.write(partition);
                node.put("offset", committed.offset());
                node.put("metadata", committed.metadata());
                committed.leaderEpoch().ifPresent(epoch -> node.put("leader_epoch", epoch));
                list.add(node);
            }
        }
        reply.ok(list);
    }

    private void list(JsonNode args, Reply reply) throws Exception {
        List<GroupListing> groups = new ArrayList<>(clients.admin(args).listGroups().all().get());
        groups.sort(Comparator.comparing(GroupListing::groupId));
        ArrayNode list = NODES.arrayNode();
        for (GroupListing group : groups) {
            ObjectNode node = list.addObject();
            node.put("group", group.groupId());
            node.put("protocol_type", group.protocol());
            group.type().ifPresent(type -> node.put("kind", type.toString()));
            group.groupState().ifPresent(state -> node.put("state", state.toString()));
        }
        reply.ok(list);
    }

    private void describe(JsonNode args, Reply reply) throws Exception {
        String group = args.get("group").textValue();
        ConsumerGroupDescription found = clients.admin(args).describeConsumerGroups(Collections.singleton(group))
                .describedGroups().get(group).get();
        ObjectNode node = NODES.objectNode();
        node.put("group", group);
        node.put("kind", found.type().toString());
        node.put("state", found.groupState().toString());
        ArrayNode members = node.putArray("members");
        for (MemberDescription member : found.members()) {
            ObjectNode one = members.addObject();
            one.put("member_id", member.consumerId());
            one.put("client_id", member.clientId());
            ArrayNode assigned = one.putArray("assigned");
            member.assignment().topicPartitions().forEach(partition -> assigned.add(Records.write(partition)));
        }
        reply.ok(node);
    }

    private void delete(JsonNode args, Reply reply) throws Exception {
        clients.admin(args).deleteConsumerGroups(Collections.singleton(args.get("group").textValue())).all().get();
        reply.ok();
    }

    private void deleteOffsets(JsonNode args, Reply reply) throws Exception {
        Admin admin = clients.admin(args);
        admin.deleteConsumerGroupOffsets(args.get("group").textValue(),
                new HashSet<>(Records.partitions(args.get("partitions")))).all().get();
        reply.ok();
    }
}
