"""`python -m services.mentoring [serve|migrate]`."""

from chassis.cli import main
from services.mentoring.service import service

if __name__ == "__main__":
    main(service)
