package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collections;
import java.util.Map;
import org.apache.kafka.clients.admin.CreateDelegationTokenOptions;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.security.token.delegation.DelegationToken;

/** Users and their passwords. */
final class SecurityCommands {
    private final Clients clients;

    SecurityCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("scram_set", this::setScram);
        commands.put("delegation_token_create", this::createDelegationToken);
    }

    private void setScram(JsonNode args, Reply reply) throws Exception {
        ScramMechanism mechanism = ScramMechanism.fromMechanismName(args.get("mechanism").textValue());
        ScramCredentialInfo info = new ScramCredentialInfo(mechanism, args.get("iterations").intValue());
        UserScramCredentialUpsertion change = new UserScramCredentialUpsertion(
                args.get("user").textValue(), info, args.get("password").textValue());
        clients.admin(args).alterUserScramCredentials(Collections.singletonList(change)).all().get();
        reply.ok();
    }

    /** Of the user that the connection logs in as. */
    private void createDelegationToken(JsonNode args, Reply reply) throws Exception {
        CreateDelegationTokenOptions options = new CreateDelegationTokenOptions();
        JsonNode lifetime = args.get("max_lifetime_ms");
        if (lifetime != null && !lifetime.isNull()) {
            options.maxLifetimeMs(lifetime.longValue());
        }
        DelegationToken token = clients.admin(args).createDelegationToken(options).delegationToken().get();
        ObjectNode node = JsonNodeFactory.instance.objectNode();
        node.put("id", token.tokenInfo().tokenId());
        node.put("hmac", token.hmacAsBase64String());
        reply.ok(node);
    }
}
