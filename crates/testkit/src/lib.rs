//! Real Kafka clusters, a Java client and a fault-injecting proxy for tests.
