"""The rat service at a glance: annual members' meetings."""

from chassis.bootstrap import Service
from services.rat import api, publications
from services.rat.domain import annual_meetings
from services.rat.projections import cooperatives

service = Service(
    name="rat",
    description="Annual members' meetings (RAT): held, reported, verified, corrected, annulled, attested.",
    deciders=[annual_meetings.decider],
    publish=publications.publish,
    projections=[cooperatives.projection],
    routes=[api.routes],
)
