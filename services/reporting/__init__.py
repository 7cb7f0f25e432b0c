"""Reporting: what follows from the events of the other services, at any date and as known at any time."""
