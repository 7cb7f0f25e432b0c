"""The read models of reporting, one a file."""
