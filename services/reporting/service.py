"""Reporting at a glance: what follows from the events of the others."""

from chassis.bootstrap import Service
from services.reporting import api, publications
from services.reporting.projections import health_status

service = Service(
    name="reporting",
    description="What follows: the health of every cooperative and kecamatan, at any date, as known at any time.",
    deciders=[],
    publish=publications.publish,
    projections=[health_status.projection],
    routes=api.ROUTES,
)
