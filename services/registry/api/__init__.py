"""The registry's HTTP interface."""

from services.registry.api import existence, imports, reading, register

ROUTES = [register.routes, existence.routes, reading.routes, imports.routes]
