"""The dinkop command: it composes the services and the embedded servers into one system and operates it."""
