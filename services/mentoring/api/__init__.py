"""Mentoring's HTTP interface. Personal data is sealed and opened here, and nowhere else."""

from services.mentoring.api import calendar, course, people, requests

ROUTES = [requests.routes, course.routes, people.routes, calendar.routes]
