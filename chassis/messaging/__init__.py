"""NATS JetStream behind the engine's ports."""
