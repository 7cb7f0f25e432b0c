"""Reporting's HTTP interface."""

from services.reporting.api import camat_reports, health, policies, timeline

ROUTES = [health.routes, timeline.routes, policies.routes, camat_reports.routes]
