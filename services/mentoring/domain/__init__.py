"""The domain of the mentoring service."""
