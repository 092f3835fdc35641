package testkit;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs a broker (or ZooKeeper, for the versions that need it) inside this JVM and ties its life to stdin.
 *
 * <p>The parent holds the other end of the pipe, so that the end of the stream means that the parent is gone, however it
 * went. The line {@code stop} asks for an orderly shutdown.
 *
 * <p>Arguments: {@code <broker|zookeeper> <properties file> <folder to remove with the parent> [storage tool arguments]}.
 * Only classes that every supported Kafka version has may be used here.
 */
public final class BrokerMain {
    private BrokerMain() {}

    public static void main(String[] args) throws Exception {
        String properties = args[1];
        Path folder = Paths.get(args[2]);
        Thread watcher = new Thread(() -> watchParent(folder), "parent-watch");
        watcher.setDaemon(true);
        watcher.start();
        if (args[0].equals("zookeeper")) {
            call("org.apache.zookeeper.server.quorum.QuorumPeerMain", properties);
            return;
        }
        if (args.length > 3) {
            format(Arrays.copyOfRange(args, 3, args.length));
        }
        call("kafka.Kafka", properties);
    }

    /** Formats the storage in the same JVM: a JVM of its own would double the time of a start. */
    private static void format(String[] arguments) throws Exception {
        PrintStream out = System.out;
        Exit.setExitProcedure((code, message) -> {
            throw new Formatted(code, message);
        });
        try {
            call("kafka.tools.StorageTool", arguments);
        } catch (Formatted done) {
            if (done.code != 0) {
                out.println("formatting the storage failed: " + done.getMessage());
                Runtime.getRuntime().halt(done.code);
            }
        } finally {
            Exit.resetExitProcedure();
        }
    }

    private static void call(String className, String... arguments) throws Exception {
        Method main = Class.forName(className).getMethod("main", String[].class);
        try {
            main.invoke(null, (Object) arguments);
        } catch (InvocationTargetException thrown) {
            if (thrown.getCause() instanceof Formatted) {
                throw (Formatted) thrown.getCause();
            }
            throw thrown;
        }
    }

    private static void watchParent(Path folder) {
        try {
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (line.equals("stop")) {
                    new Thread(() -> System.exit(0), "orderly-stop").start();
                }
            }
        } catch (IOException broken) {
            // A broken pipe tells the same as its end.
        }
        removeQuietly(folder);
        Runtime.getRuntime().halt(0);
    }

    private static void removeQuietly(Path folder) {
        // The broker still writes while its files go away, hence a few rounds.
        for (int round = 0; round < 3 && Files.exists(folder); round++) {
            try (Stream<Path> paths = Files.walk(folder)) {
                List<Path> deepestFirst = paths.sorted(Comparator.reverseOrder()).collect(Collectors.toList());
                deepestFirst.stream().map(Path::toFile).forEach(File::delete);
            } catch (IOException | UncheckedIOException racing) {
                // Somebody else removes it too: the next round sees what is left.
            }
        }
        // The folder around it belongs to the whole cluster; the last broker finds it empty.
        folder.toFile().getParentFile().delete();
    }

    private static final class Formatted extends RuntimeException {
        private static final long serialVersionUID = 1L;
        private final int code;

        Formatted(int code, String message) {
            super(message);
            this.code = code;
        }
    }
}
