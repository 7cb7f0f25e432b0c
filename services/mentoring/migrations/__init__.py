"""Schema versions of the mentoring database, after the chassis's own."""
