"""Mentoring at a glance: who asked the office for help (PUAS), and what came of it."""

from pathlib import Path

from chassis.bootstrap import Service
from services.mentoring import api, publications
from services.mentoring.domain import request
from services.mentoring.projections import calendar, cooperatives, meetings, requests

service = Service(
    name="mentoring",
    description="PUAS: who asked the office to mentor a cooperative, and what came of it.",
    deciders=[request.decider],
    publish=publications.publish,
    projections=[cooperatives.projection, requests.projection, meetings.projection, calendar.projection],
    routes=api.ROUTES,
    migrations=Path(__file__).with_name("migrations") / "versions",
    personal_data=True,
)
