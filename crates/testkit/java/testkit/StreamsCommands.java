package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.Collections;
import java.util.Map;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.message.StreamsGroupHeartbeatRequestData;
import org.apache.kafka.common.message.StreamsGroupHeartbeatRequestData.Subtopology;
import org.apache.kafka.common.message.StreamsGroupHeartbeatRequestData.Topology;
import org.apache.kafka.common.message.StreamsGroupHeartbeatResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.StreamsGroupHeartbeatRequest;
import org.apache.kafka.common.requests.StreamsGroupHeartbeatResponse;

/** Members of streams groups, by the heartbeats of which they consist; a member that falls silent goes after 45 s. */
final class StreamsCommands {
    private static final short VERSION = 0;

    private final Clients clients;

    StreamsCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("streams_join", this::join);
        commands.put("streams_leave", this::leave);
    }

    private void join(JsonNode args, Reply reply) throws Exception {
        Subtopology all = new Subtopology().setSubtopologyId("0")
                .setSourceTopics(Collections.singletonList(args.get("topic").textValue()));
        beat(args, heartbeat(args)
                .setMemberEpoch(StreamsGroupHeartbeatRequest.JOIN_GROUP_MEMBER_EPOCH)
                .setProcessId("process")
                .setRebalanceTimeoutMs(60_000)
                .setTopology(new Topology().setEpoch(0).setSubtopologies(Collections.singletonList(all)))
                .setActiveTasks(Collections.emptyList())
                .setStandbyTasks(Collections.emptyList())
                .setWarmupTasks(Collections.emptyList())
                .setClientTags(Collections.emptyList()));
        reply.ok();
    }

    private void leave(JsonNode args, Reply reply) throws Exception {
        beat(args, heartbeat(args).setMemberEpoch(StreamsGroupHeartbeatRequest.LEAVE_GROUP_MEMBER_EPOCH));
        reply.ok();
    }

    private static StreamsGroupHeartbeatRequestData heartbeat(JsonNode args) {
        return new StreamsGroupHeartbeatRequestData()
                .setGroupId(args.get("group").textValue())
                .setMemberId(args.get("member").textValue());
    }

    /** Asks the brokers in turn until the coordinator is found, and has loaded the group. */
    private void beat(JsonNode args, StreamsGroupHeartbeatRequestData data) throws Exception {
        for (int round = 0; round < 100; round++) {
            for (Node broker : clients.admin(args).describeCluster().nodes().get()) {
                StreamsGroupHeartbeatResponse response = (StreamsGroupHeartbeatResponse) RawCommands.exchange(
                        broker, ApiKeys.STREAMS_GROUP_HEARTBEAT, VERSION, new StreamsGroupHeartbeatRequest(data, VERSION));
                StreamsGroupHeartbeatResponseData answer = response.data();
                switch (Errors.forCode(answer.errorCode())) {
                    case NONE:
                        return;
                    case NOT_COORDINATOR:
                    case COORDINATOR_NOT_AVAILABLE:
                    case COORDINATOR_LOAD_IN_PROGRESS:
                        break;
                    default:
                        throw Errors.forCode(answer.errorCode()).exception(answer.errorMessage());
                }
            }
            // The topic of the committed offsets may have to be made first.
            clients.admin(args).listConsumerGroupOffsets(data.groupId()).partitionsToOffsetAndMetadata().get();
            Thread.sleep(100);
        }
        throw new IOException("no broker coordinates " + data.groupId());
    }
}
