"""Schema versions of the reporting database, after the chassis's own."""
