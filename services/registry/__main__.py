"""`python -m services.registry [serve|migrate]`."""

from chassis.cli import main
from services.registry.service import service

if __name__ == "__main__":
    main(service)
