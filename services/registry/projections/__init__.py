"""The projections of the registry service."""
