"""Reporting at a glance: what follows from the events of the others."""

from pathlib import Path

from chassis.bootstrap import Service
from services.reporting import api, consequences, monitor, publications
from services.reporting.domain import announced_health, camat_report_issue
from services.reporting.projections import camat_reports, health_status, timeline

service = Service(
    name="reporting",
    description="What follows: the health of every cooperative and kecamatan, at any date, as known at any time.",
    deciders=[announced_health.decider, camat_report_issue.decider],
    publish=publications.publish,
    projections=[health_status.projection, timeline.projection, camat_reports.projection],
    routes=api.ROUTES,
    consequences={
        health_status.projection.name: consequences.of_health_status,
        camat_reports.projection.name: consequences.of_camat_reports,
    },
    watchers={"health monitor": monitor.watch},
    migrations=Path(__file__).with_name("migrations") / "versions",
)
