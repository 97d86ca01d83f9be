"""The durable log: opaque payloads with dense offsets in one LMDB environment."""
