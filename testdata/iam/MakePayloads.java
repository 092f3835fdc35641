import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import javax.security.auth.callback.Callback;
import javax.security.auth.callback.CallbackHandler;
import javax.security.auth.callback.UnsupportedCallbackException;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.msk.auth.iam.internals.AWS4SignedPayloadGenerator;
import software.amazon.msk.auth.iam.internals.AWSCredentialsCallback;
import software.amazon.msk.auth.iam.internals.IAMSaslClient;

/** Writes what Amazon's SASL client sends for logins with made-up keys, at the time at which it runs. See README.md. */
public final class MakePayloads {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    private record Login(String host, String region, String id, String secret, String token) { }

    private static final List<Login> LOGINS = List.of(
        new Login("b-1.demo.abc123.c2.kafka.us-east-1.amazonaws.com", "us-east-1",
            "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", null),
        new Login("boot-abc123.c1.kafka-serverless.eu-central-1.amazonaws.com", "eu-central-1",
            "ASIAIOSFODNN7EXAMPLE", "a+b/c==", "IQoJb3JpZ2luX2VjEJ//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+/8=="),
        new Login("b-2.demo.abc123.c2.kafka.cn-north-1.amazonaws.com.cn", "cn-north-1",
            "AKIA~-_.!*'()", "~-_.!*'();:@&=+$,/?#[]\"\\<>{}|^`%20", "token~-_.!*'();:@&=+$,/?#[]\"\\<>{}|^`%20%"),
        new Login("vpce-0abc-1a2b.vpce-svc-0def.us-gov-west-1.vpce.amazonaws.com", "us-gov-west-1",
            "ASIA/with/slashes", "x", "y"),
        new Login("kafka.ap-southeast-2.corp.example", "ap-southeast-2",
            "AKIA", "secret".repeat(40), "token/".repeat(300)));

    public static void main(String[] args) throws IOException {
        ArrayNode all = JSON.createArrayNode();
        for (Login login : LOGINS) {
            ObjectNode one = all.addObject();
            one.put("host", login.host()).put("region", login.region());
            one.put("access_key_id", login.id()).put("secret_access_key", login.secret());
            one.put("session_token", login.token());
            ObjectNode payload = (ObjectNode) JSON.readTree(payload(login));
            // What follows names the machine; it is not signed.
            payload.put("user-agent", payload.get("user-agent").asText().replaceFirst(" .*", ""));
            one.set("payload", payload);
        }
        Files.writeString(Path.of(args[0]), JSON.writeValueAsString(all) + "\n", StandardCharsets.UTF_8);
    }

    private static byte[] payload(Login login) throws IOException {
        AwsCredentials credentials = login.token() == null
            ? AwsBasicCredentials.create(login.id(), login.secret())
            : AwsSessionCredentials.create(login.id(), login.secret(), login.token());
        CallbackHandler handler = new CallbackHandler() {
            @Override
            public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
                for (Callback callback : callbacks) {
                    ((AWSCredentialsCallback) callback).setAwsCredentials(credentials);
                }
            }
        };
        IAMSaslClient client =
            new IAMSaslClient("AWS_MSK_IAM", handler, login.host(), new AWS4SignedPayloadGenerator());
        return client.evaluateChallenge(new byte[0]);
    }
}
