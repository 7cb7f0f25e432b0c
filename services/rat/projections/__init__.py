"""The projections of the rat service."""
