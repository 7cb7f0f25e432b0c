"""`python -m services.rat [serve|migrate]`."""

from chassis.cli import main
from services.rat.service import service

if __name__ == "__main__":
    main(service)
