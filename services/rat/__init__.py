"""The rat service."""
