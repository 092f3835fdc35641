package testkit;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Makes clients from the connection properties that come with every request; admin clients are kept. */
final class Clients {
    private final Map<Map<String, Object>, Admin> admins = new ConcurrentHashMap<>();

    /** The connection properties of a request, with the request's own properties over them. */
    static Map<String, Object> properties(JsonNode args) {
        Map<String, Object> properties = new HashMap<>();
        put(properties, args.get("connection"));
        put(properties, args.get("properties"));
        return properties;
    }

    private static void put(Map<String, Object> into, JsonNode object) {
        if (object != null) {
            object.properties().forEach(entry -> into.put(entry.getKey(), entry.getValue().asText()));
        }
    }

    Admin admin(JsonNode args) {
        Map<String, Object> connection = new HashMap<>();
        put(connection, args.get("connection"));
        return admins.computeIfAbsent(connection, key -> {
            Map<String, Object> properties = new HashMap<>(key);
            properties.put(CommonClientConfigs.DEFAULT_API_TIMEOUT_MS_CONFIG, 60_000);
            return Admin.create(properties);
        });
    }

    /** A consumer that never commits and never jumps by itself; what the request sets wins. */
    KafkaConsumer<byte[], byte[]> consumer(JsonNode args, Map<String, Object> more) {
        Map<String, Object> properties = new HashMap<>();
        properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "none");
        properties.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false);
        properties.putAll(more);
        if (args.hasNonNull("isolation")) {
            properties.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, args.get("isolation").textValue());
        }
        properties.putAll(properties(args));
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }
}
