package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.security.auth.callback.CallbackHandler;
import javax.security.sasl.SaslServer;
import javax.security.sasl.SaslServerFactory;
import org.apache.kafka.common.errors.SaslAuthenticationException;

/**
 * The broker's side of {@code AWS_MSK_IAM}: makes the presigned request out of the message again, signs it with the key that
 * it knows, and compares. Strict where Amazon's documentation is definite, so that a client that strays is found out.
 */
final class IamSaslServer implements SaslServer {
    private static final String VERSION = "2020_10_22";
    private static final String ALGORITHM = "AWS4-HMAC-SHA256";
    private static final String SERVICE = "kafka-cluster";
    private static final Duration GOOD_FOR = Duration.ofMinutes(15);
    private static final DateTimeFormatter DATE =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
    /** Whoever logs in has this role, whichever key it uses: sessions are not renewed as somebody else. */
    private static final String ROLE = "iam-role";
    private static final ObjectMapper JSON = new ObjectMapper();

    private final IamCallbackHandler known;
    private boolean complete;

    private IamSaslServer(IamCallbackHandler known) {
        this.known = known;
    }

    /** Found by Java's registry of providers. */
    public static final class Factory implements SaslServerFactory {
        @Override
        public SaslServer createSaslServer(
                String mechanism, String protocol, String server, Map<String, ?> properties, CallbackHandler handler) {
            return handler instanceof IamCallbackHandler ? new IamSaslServer((IamCallbackHandler) handler) : null;
        }

        @Override
        public String[] getMechanismNames(Map<String, ?> properties) {
            return new String[] {IamLoginModule.MECHANISM};
        }
    }

    @Override
    public byte[] evaluateResponse(byte[] message) {
        try {
            check(JSON.readTree(message));
            complete = true;
            return JSON.writeValueAsBytes(Map.of("version", VERSION, "request-id", UUID.randomUUID().toString()));
        } catch (IOException | GeneralSecurityException | DateTimeException unreadable) {
            throw new SaslAuthenticationException("unreadable: " + unreadable.getMessage());
        }
    }

    private void check(JsonNode message) throws GeneralSecurityException {
        Map<String, String> rest = new TreeMap<>();
        message.fieldNames().forEachRemaining(name -> rest.put(name, message.get(name).textValue()));
        String host = taken(rest, "host");
        if (!Arrays.asList(known.option("hosts").split(",")).contains(host)) {
            throw refused("this is not the host " + host);
        }
        if (taken(rest, "user-agent").isEmpty()) {
            throw refused("no user agent");
        }
        must(rest, "version", VERSION);
        must(rest, "action", "kafka-cluster:Connect");
        must(rest, "x-amz-algorithm", ALGORITHM);
        must(rest, "x-amz-signedheaders", "host");
        must(rest, "x-amz-expires", "900");
        String date = taken(rest, "x-amz-date");
        String credential = taken(rest, "x-amz-credential");
        String signature = taken(rest, "x-amz-signature");
        String token = rest.remove("x-amz-security-token");
        if (!rest.isEmpty()) {
            throw refused("not expected: " + rest.keySet());
        }
        Duration age = Duration.between(Instant.from(DATE.parse(date)), Instant.now()).abs();
        if (age.compareTo(GOOD_FOR) > 0) {
            throw refused("signed at another time: " + date);
        }
        String scope = date.substring(0, 8) + "/" + known.option("region") + "/" + SERVICE + "/aws4_request";
        if (!credential.endsWith("/" + scope)) {
            throw refused("the credential is not for " + scope);
        }
        String id = credential.substring(0, credential.length() - scope.length() - 1);
        String secret = known.option("secret_" + id);
        if (secret == null) {
            throw refused("no key " + id);
        }
        if (token == null ? known.option("token_" + id) != null : !token.equals(known.option("token_" + id))) {
            // As somebody would who shows too much.
            throw refused("the token of " + id + " is not " + token);
        }
        String expected = signature(host, date, scope, credential, token, secret);
        if (!MessageDigest.isEqual(bytes(expected), bytes(signature))) {
            throw refused("the signature is not " + signature);
        }
    }

    private static String signature(
            String host, String date, String scope, String credential, String token, String secret)
            throws GeneralSecurityException {
        Map<String, String> query = new TreeMap<>();
        query.put("Action", "kafka-cluster:Connect");
        query.put("X-Amz-Algorithm", ALGORITHM);
        query.put("X-Amz-Credential", credential);
        query.put("X-Amz-Date", date);
        query.put("X-Amz-Expires", "900");
        query.put("X-Amz-SignedHeaders", "host");
        if (token != null) {
            query.put("X-Amz-Security-Token", token);
        }
        StringBuilder line = new StringBuilder();
        query.forEach((name, value) ->
                line.append(line.length() == 0 ? "" : "&").append(name).append('=').append(encoded(value)));
        String request = "GET\n/\n" + line + "\nhost:" + host + "\n\nhost\n" + sha256("");
        byte[] key = bytes("AWS4" + secret);
        for (String part : scope.split("/")) {
            key = hmac(key, part);
        }
        return hex(hmac(key, ALGORITHM + "\n" + date + "\n" + scope + "\n" + sha256(request)));
    }

    private static String taken(Map<String, String> message, String name) {
        String value = message.remove(name);
        if (value == null) {
            throw refused("no " + name);
        }
        return value;
    }

    private static void must(Map<String, String> message, String name, String expected) {
        String value = taken(message, name);
        if (!value.equals(expected)) {
            throw refused(name + " is " + value + " and not " + expected);
        }
    }

    private static SaslAuthenticationException refused(String why) {
        return new SaslAuthenticationException("Access denied (" + why + ")");
    }

    /** Java's encoder is for forms, and differs in three letters. */
    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8)
                .replace("+", "%20").replace("*", "%2A").replace("%7E", "~");
    }

    private static String sha256(String text) throws GeneralSecurityException {
        return hex(MessageDigest.getInstance("SHA-256").digest(bytes(text)));
    }

    private static byte[] hmac(byte[] key, String text) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(bytes(text));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String hex(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (byte b : bytes) {
            out.append(String.format("%02x", b));
        }
        return out.toString();
    }

    @Override
    public String getMechanismName() {
        return IamLoginModule.MECHANISM;
    }

    @Override
    public boolean isComplete() {
        return complete;
    }

    @Override
    public String getAuthorizationID() {
        return ROLE;
    }

    @Override
    public byte[] unwrap(byte[] incoming, int offset, int length) {
        return Arrays.copyOfRange(incoming, offset, offset + length);
    }

    @Override
    public byte[] wrap(byte[] outgoing, int offset, int length) {
        return Arrays.copyOfRange(outgoing, offset, offset + length);
    }

    /** Sessions are as long as the broker's own setting says. */
    @Override
    public Object getNegotiatedProperty(String name) {
        return null;
    }

    @Override
    public void dispose() {}
}
