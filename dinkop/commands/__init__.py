"""The commands, one module a group; each opens what it needs only when it runs."""
