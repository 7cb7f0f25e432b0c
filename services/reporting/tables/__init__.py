"""Tables of reporting that are no read models: what the office itself writes down, and no rebuild may touch."""
