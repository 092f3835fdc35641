package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * A Java client that is driven over stdin and stdout, a JSON object per line.
 *
 * <p>Request: {@code {"id": n, "command": "...", "args": {...}}}. Replies carry the same id: any number of
 * {@code {"id": n, "part": ...}} and then one {@code {"id": n, "ok": ...}} or {@code {"id": n, "error": {...}}}. Requests run
 * at the same time, each on a thread of its own; who needs an order waits for the reply. The process ends with its stdin.
 */
public final class Driver {
    static final ObjectMapper JSON = new ObjectMapper();

    private final Map<String, Command> commands = new HashMap<>();
    private final Clients clients = new Clients();

    private Driver() {
        new TopicCommands(clients).register(commands);
        new ProduceCommands(clients).register(commands);
        new ConsumeCommands(clients).register(commands);
        new GroupCommands(clients).register(commands);
        new MemberCommands(clients).register(commands);
        new PositionCommands(clients).register(commands);
        new QuotaCommands(clients).register(commands);
        new RawCommands(clients).register(commands);
        new AdminCommands(clients).register(commands);
        new ShareCommands(clients).register(commands);
        new StreamsCommands(clients).register(commands);
        new SecurityCommands(clients).register(commands);
        commands.put("ping", (args, reply) -> reply.ok(JsonNodeFactory.instance.objectNode()));
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        // Whatever a library prints must not end up between the replies.
        System.setOut(System.err);
        new Driver().serve(out);
        System.exit(0);
    }

    private void serve(PrintStream out) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        });
        BufferedReader in = new BufferedReader(
                new InputStreamReader(new FileInputStream(FileDescriptor.in), StandardCharsets.UTF_8), 1 << 16);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String request = line;
            threads.submit(() -> handle(request, out));
        }
    }

    private void handle(String line, PrintStream out) {
        Reply reply = null;
        try {
            JsonNode request = JSON.readTree(line);
            reply = new Reply(request.get("id").longValue(), out);
            String name = request.get("command").textValue();
            Command command = commands.get(name);
            if (command == null) {
                throw new IllegalArgumentException("no such command: " + name);
            }
            command.run(request.get("args"), reply);
        } catch (Throwable thrown) {
            if (reply == null) {
                thrown.printStackTrace();
            } else {
                reply.error(thrown);
            }
        }
    }

    /** What a request name stands for. */
    interface Command {
        void run(JsonNode args, Reply reply) throws Exception;
    }
}
