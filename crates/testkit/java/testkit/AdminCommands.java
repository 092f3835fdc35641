package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** What users may do, and the configuration of brokers. */
final class AdminCommands {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private final Clients clients;

    AdminCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("acl_create", this::createAcl);
        commands.put("quota_set", this::setQuota);
        commands.put("broker_configs", this::brokerConfigs);
    }

    private void createAcl(JsonNode args, Reply reply) throws Exception {
        ResourcePattern pattern = new ResourcePattern(ResourceType.fromString(args.get("resource").textValue()),
                args.get("name").textValue(), PatternType.fromString(args.get("pattern").textValue()));
        AccessControlEntry entry = new AccessControlEntry(args.get("principal").textValue(), args.get("host").textValue(),
                AclOperation.fromString(args.get("operation").textValue()),
                AclPermissionType.fromString(args.get("permission").textValue()));
        clients.admin(args).createAcls(Collections.singleton(new AclBinding(pattern, entry))).all().get();
        reply.ok();
    }

    private void setQuota(JsonNode args, Reply reply) throws Exception {
        Map<String, String> entity = new HashMap<>();
        args.get("entity").properties().forEach(entry -> entity.put(entry.getKey(), entry.getValue().textValue()));
        ClientQuotaAlteration.Op set =
                new ClientQuotaAlteration.Op(args.get("quota").textValue(), args.get("limit").doubleValue());
        clients.admin(args).alterClientQuotas(Collections.singleton(
                new ClientQuotaAlteration(new ClientQuotaEntity(entity), Collections.singleton(set)))).all().get();
        reply.ok();
    }

    /** The values that were set at run time: for one broker, or with an empty name for all. */
    private void brokerConfigs(JsonNode args, Reply reply) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.BROKER, args.get("broker").textValue());
        Config config = clients.admin(args).describeConfigs(Collections.singleton(resource)).all().get().get(resource);
        Map<String, String> found = new TreeMap<>();
        for (ConfigEntry entry : config.entries()) {
            if (entry.source() == ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG
                    || entry.source() == ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG) {
                found.put(entry.name(), entry.value());
            }
        }
        ArrayNode list = NODES.arrayNode();
        found.forEach((name, value) -> list.addArray().add(name).add(value));
        reply.ok(list);
    }
}
