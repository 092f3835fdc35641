package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Collections;
import java.util.Map;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;

/** Users and their passwords. */
final class SecurityCommands {
    private final Clients clients;

    SecurityCommands(Clients clients) {
        this.clients = clients;
    }

    void register(Map<String, Driver.Command> commands) {
        commands.put("scram_set", this::setScram);
    }

    private void setScram(JsonNode args, Reply reply) throws Exception {
        ScramMechanism mechanism = ScramMechanism.fromMechanismName(args.get("mechanism").textValue());
        ScramCredentialInfo info = new ScramCredentialInfo(mechanism, args.get("iterations").intValue());
        UserScramCredentialUpsertion change = new UserScramCredentialUpsertion(
                args.get("user").textValue(), info, args.get("password").textValue());
        clients.admin(args).alterUserScramCredentials(Collections.singletonList(change)).all().get();
        reply.ok();
    }
}
