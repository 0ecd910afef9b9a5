"""binlog → Kafka: the replica's effective changes, published exactly once."""
