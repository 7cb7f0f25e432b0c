"""The projections of the mentoring service."""
