"""The registry at a glance: who exists."""

from chassis.bootstrap import Service
from services.registry import api, publications
from services.registry.domain import cooperative
from services.registry.projections import cooperatives

service = Service(
    name="registry",
    description="Who exists: the register of cooperatives, what the Ministry says and what the office found.",
    deciders=[cooperative.decider],
    publish=publications.publish,
    projections=[cooperatives.projection],
    routes=api.ROUTES,
)
