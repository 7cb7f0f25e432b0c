"""`python -m services.reporting [serve|migrate]`."""

from chassis.cli import main
from services.reporting.service import service

if __name__ == "__main__":
    main(service)
