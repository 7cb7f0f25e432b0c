"""What the services tell each other and the world: event types, schemas, shared codes."""
