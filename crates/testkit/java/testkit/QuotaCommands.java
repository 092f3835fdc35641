package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Collections;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;

/** Quotas: how much a client may do. */
final class QuotaCommands {
    private final Clients clients;

    QuotaCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("quota_alter", this::alter);
    }

    /** Sets a quota of a client id, or removes it when it has no value; waits until a broker tells it. */
    private void alter(JsonNode args, Reply reply) throws Exception {
        Admin admin = clients.admin(args);
        String client = args.get("client_id").textValue();
        String quota = args.get("quota").textValue();
        Double value = args.hasNonNull("value") ? args.get("value").doubleValue() : null;
        ClientQuotaEntity entity =
                new ClientQuotaEntity(Collections.singletonMap(ClientQuotaEntity.CLIENT_ID, client));
        ClientQuotaAlteration change = new ClientQuotaAlteration(
                entity, Collections.singleton(new ClientQuotaAlteration.Op(quota, value)));
        admin.alterClientQuotas(Collections.singleton(change)).all().get();
        ClientQuotaFilter one = ClientQuotaFilter.containsOnly(Collections.singleton(
                ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, client)));
        TopicCommands.await("quota of " + client, () -> {
            Map<String, Double> quotas =
                    admin.describeClientQuotas(one).entities().get().getOrDefault(entity, Collections.emptyMap());
            return value == null ? !quotas.containsKey(quota) : value.equals(quotas.get(quota));
        });
        reply.ok();
    }
}
