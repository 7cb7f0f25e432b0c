"""The domain of the rat service."""
