"""PostgreSQL behind the engine's ports, and an in-memory store that behaves the same."""
