"""The moving parts: handle a command, relay events, fold projections, react. I/O only through ports."""
