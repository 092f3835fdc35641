package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.Errors;

/** The replies to one request; lines of different requests never mix. */
final class Reply {
    private final long id;
    private final PrintStream out;

    Reply(long id, PrintStream out) {
        this.id = id;
        this.out = out;
    }

    void part(JsonNode body) {
        write("part", body);
    }

    void ok(JsonNode body) {
        write("ok", body);
    }

    void ok() {
        write("ok", JsonNodeFactory.instance.objectNode());
    }

    void error(Throwable thrown) {
        Throwable cause = thrown;
        while ((cause instanceof ExecutionException || cause instanceof CompletionException) && cause.getCause() != null) {
            cause = cause.getCause();
        }
        ObjectNode body = JsonNodeFactory.instance.objectNode();
        body.put("class", cause.getClass().getSimpleName());
        body.put("message", String.valueOf(cause.getMessage()));
        body.put("retriable", cause instanceof RetriableException);
        Errors code = Errors.forException(cause);
        body.put("code", code.code());
        if (code == Errors.UNKNOWN_SERVER_ERROR) {
            cause.printStackTrace();
        }
        write("error", body);
    }

    private void write(String kind, JsonNode body) {
        ObjectNode line = JsonNodeFactory.instance.objectNode();
        line.put("id", id);
        line.set(kind, body);
        byte[] bytes = (line + "\n").getBytes(StandardCharsets.UTF_8);
        synchronized (out) {
            out.write(bytes, 0, bytes.length);
            out.flush();
        }
    }
}
