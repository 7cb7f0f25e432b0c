"""The rat service's HTTP interface."""

from services.rat.api import imports, meetings, plans, warnings

ROUTES = [meetings.routes, plans.routes, warnings.routes, imports.routes]
