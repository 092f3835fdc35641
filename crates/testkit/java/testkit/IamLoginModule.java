package testkit;

import java.security.Provider;
import java.security.Security;
import java.util.Map;
import javax.security.auth.Subject;
import javax.security.auth.callback.CallbackHandler;
import javax.security.auth.spi.LoginModule;
import javax.security.sasl.SaslServerFactory;

/**
 * Has brokers take logins by {@code AWS_MSK_IAM}, which Amazon's brokers know and Kafka's do not. Named in a listener's JAAS
 * configuration together with {@link IamCallbackHandler}, which says what the options mean.
 */
public final class IamLoginModule implements LoginModule {
    static final String MECHANISM = "AWS_MSK_IAM";

    static {
        Security.addProvider(new IamProvider());
    }

    @Override
    public void initialize(Subject subject, CallbackHandler handler, Map<String, ?> shared, Map<String, ?> options) {}

    @Override
    public boolean login() {
        return true;
    }

    @Override
    public boolean commit() {
        return true;
    }

    @Override
    public boolean abort() {
        return false;
    }

    @Override
    public boolean logout() {
        return true;
    }

    private static final class IamProvider extends Provider {
        private static final long serialVersionUID = 1L;

        IamProvider() {
            super("testkit-iam", "1", "logins by " + MECHANISM);
            put(SaslServerFactory.class.getSimpleName() + "." + MECHANISM, IamSaslServer.Factory.class.getName());
        }
    }
}
