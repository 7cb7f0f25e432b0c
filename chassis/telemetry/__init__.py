"""Logs, metrics and traces, set up once for every service."""
