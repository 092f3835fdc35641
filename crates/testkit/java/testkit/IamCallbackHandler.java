package testkit;

import java.util.List;
import java.util.Map;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;

/**
 * What a listener knows of keys. Options of its JAAS configuration: {@code region}; {@code hosts}, the names under which
 * clients may have connected, between commas; for each access key id {@code secret_ID} and, if it is a temporary one,
 * {@code token_ID}.
 */
public final class IamCallbackHandler implements AuthenticateCallbackHandler {
    private Map<String, ?> options = Map.of();

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> jaasConfigEntries) {
        options = jaasConfigEntries.get(0).getOptions();
    }

    /** An option; null when it is not given. */
    String option(String name) {
        return (String) options.get(name);
    }

    @Override
    public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
        throw new UnsupportedCallbackException(callbacks[0]);
    }

    @Override
    public void close() {}
}
