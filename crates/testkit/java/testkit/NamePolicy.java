package testkit;

import java.util.Map;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.server.policy.CreateTopicPolicy;

/**
 * Refuses topics whose names begin with {@code forbidden}: for brokers with the property
 * {@code create.topic.policy.class.name=testkit.NamePolicy}.
 */
public final class NamePolicy implements CreateTopicPolicy {
    @Override
    public void configure(Map<String, ?> configs) {}

    @Override
    public void validate(RequestMetadata request) {
        if (request.topic().startsWith("forbidden")) {
            throw new PolicyViolationException("names like " + request.topic() + " are not for you");
        }
    }

    @Override
    public void close() {}
}
