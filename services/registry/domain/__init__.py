"""The domain of the registry service."""
