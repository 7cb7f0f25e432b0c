"""Reporting's HTTP interface."""

from services.reporting.api import health

ROUTES = [health.routes]
