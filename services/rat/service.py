"""The rat service at a glance: annual members' meetings."""

from chassis.bootstrap import Service
from services.rat import api, publications
from services.rat.domain import annual_meetings
from services.rat.projections import cooperatives, plans

service = Service(
    name="rat",
    description="Annual members' meetings (RAT): planned, held, reported, verified, corrected, annulled, warned of.",
    deciders=[annual_meetings.decider],
    publish=publications.publish,
    projections=[cooperatives.projection, plans.projection],
    routes=api.ROUTES,
)
