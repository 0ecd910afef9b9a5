import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.io.FileInputStream;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Reads changes through Debezium's embedded engine as JSON and counts them.
 *
 * <p>Arguments: a properties file with the connector's settings; how many row changes to read. Prints {@code first} at
 * the first of them, {@code last} at the last, and at the end the number of changes and of characters of JSON.
 */
public final class Peer {
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        try (FileInputStream file = new FileInputStream(arguments[0])) {
            settings.load(file);
        }
        String changes = settings.getProperty("topic.prefix") + ".";
        long wanted = Long.parseLong(arguments[1]);
        AtomicLong count = new AtomicLong();
        AtomicLong characters = new AtomicLong();
        AtomicBoolean isFailed = new AtomicBoolean();
        Object end = new Object();
        DebeziumEngine<ChangeEvent<String, String>> engine =
                DebeziumEngine.create(Json.class)
                        .using(settings)
                        .using((isSuccess, message, error) -> {
                            if (!isSuccess) {
                                System.err.println(message + ": " + error);
                                isFailed.set(true);
                            }
                            synchronized (end) {
                                end.notifyAll();
                            }
                        })
                        .notifying(record -> {
                            // Changes of table definitions come on a topic that has the bare prefix as its name.
                            if (!record.destination().startsWith(changes) || record.value() == null) {
                                return;
                            }
                            characters.addAndGet(record.value().length());
                            long number = count.incrementAndGet();
                            if (number == 1) {
                                tell("first");
                            }
                            if (number == wanted) {
                                tell("last");
                                synchronized (end) {
                                    end.notifyAll();
                                }
                            }
                        })
                        .build();
        Thread reading = new Thread(engine, "engine");
        reading.start();
        synchronized (end) {
            while (count.get() < wanted && !isFailed.get()) {
                end.wait();
            }
        }
        if (!isFailed.get()) {
            engine.close();
            reading.join();
        }
        tell(count.get() + " " + characters.get());
        System.exit(isFailed.get() ? 1 : 0);
    }

    private static void tell(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
