package testkit;

import java.nio.charset.StandardCharsets;
import java.util.HexFormat;

/**
 * A JSON event as a shop would send it, of a given size: event {@code i} depends on {@code i} and the seed only.
 *
 * <p>What a compressor finds in it is what it finds in such events: the same field names again and again, words from small
 * vocabularies, and between them numbers and ids that differ.
 */
final class OrderEvent {
    private static final HexFormat HEX = HexFormat.of();
    private static final String[] STATUS = {"created", "paid", "packed", "shipped", "delivered", "returned"};
    private static final String[] CITY = {"Berlin", "Hamburg", "Paris", "Lyon", "Madrid", "Rome", "Vienna", "Prague"};
    private static final String[] ARTICLE = {"keyboard", "monitor", "mouse", "headset", "laptop stand", "usb cable",
        "docking station", "webcam", "desk lamp", "notebook"};
    private static final String ZEROS = "000000";
    /** Room for one more article and for what closes the event. */
    private static final int ROOM = 104;

    private final StringBuilder text;
    private long state;

    private OrderEvent(long i, long seed, int bytes) {
        text = new StringBuilder(bytes + ROOM);
        state = (i + 1) * 0x9E3779B97F4A7C15L ^ seed * 0xC2B2AE3D27D4EB4FL;
    }

    static byte[] of(long i, long seed, int bytes) {
        OrderEvent event = new OrderEvent(i, seed, bytes);
        event.write(i, bytes);
        return event.text.toString().getBytes(StandardCharsets.US_ASCII);
    }

    private void write(long i, int bytes) {
        text.append("{\"event_id\":\"").append(hex()).append('-').append(hex());
        text.append("\",\"order_id\":").append(i).append(",\"customer_id\":").append(below(200_000));
        text.append(",\"status\":\"").append(one(STATUS)).append("\",\"created_at\":\"2026-03-");
        text.append(digits(1 + below(28), 2)).append('T').append(digits(below(24), 2)).append(':');
        text.append(digits(below(60), 2)).append(':').append(digits(below(60), 2)).append('.');
        text.append(digits(below(1000), 3)).append("Z\",\"currency\":\"EUR\",\"shipping\":{\"city\":\"");
        text.append(one(CITY)).append("\",\"zip\":\"").append(digits(below(100_000), 5));
        text.append("\",\"street\":\"Street ").append(below(300)).append("\",\"express\":").append(below(2) == 1);
        text.append("},\"items\":[");
        for (boolean first = true; text.length() < bytes - ROOM; first = false) {
            text.append(first ? "" : ",").append("{\"sku\":\"SKU-").append(digits(below(50_000), 6));
            text.append("\",\"name\":\"").append(one(ARTICLE)).append("\",\"quantity\":").append(1 + below(5));
            text.append(",\"price\":").append(below(500)).append('.').append(digits(below(100), 2)).append('}');
        }
        text.append("],\"total\":").append(below(5000)).append('.').append(digits(below(100), 2)).append(",\"mac\":\"");
        // To the byte: this takes what is left. A value too small for all of it is only the beginning of an event.
        while (text.length() < bytes - 2) {
            text.append(hex());
        }
        text.setLength(Math.max(0, bytes - 2));
        text.append("\"}").setLength(bytes);
    }

    private long next() {
        state ^= state << 13;
        state ^= state >>> 7;
        state ^= state << 17;
        return state;
    }

    private long below(long limit) {
        return Long.remainderUnsigned(next() * 0x2545F4914F6CDD1DL >>> 11, limit);
    }

    private String one(String[] words) {
        return words[(int) below(words.length)];
    }

    private String hex() {
        return HEX.toHexDigits(next() * 0x2545F4914F6CDD1DL);
    }

    private static String digits(long number, int width) {
        String digits = Long.toString(number);
        return ZEROS.substring(0, Math.max(0, width - digits.length())) + digits;
    }
}
