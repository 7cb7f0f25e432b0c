"""Start a new schema version: `python -m chassis.storage.migrations chassis|SERVICE "what it does"`."""

import re
import sys
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from chassis.storage.migrations import HERE, configuration

CHASSIS = "chassis"


def start(owner: str, what: str) -> Path:
    """Write an empty schema version that follows the owner's last, and return its path.

    A service's first version starts a branch of its own that needs the chassis's tables.
    """
    own = Path("services") / owner / "migrations" / "versions"
    versions = HERE / "versions" if owner == CHASSIS else own
    versions.mkdir(parents=True, exist_ok=True)
    config = configuration(None if owner == CHASSIS else own)
    prefix = "" if owner == CHASSIS else f"{owner}_"
    heads = ScriptDirectory.from_config(config).get_heads()
    last = next((head for head in heads if re.fullmatch(rf"{prefix}\d{{4}}", head)), None)
    number = int(last[-4:]) + 1 if last else 1
    chassis_head = max(head for head in ScriptDirectory.from_config(configuration()).get_heads())
    made = command.revision(
        config,
        message=what,
        head=last or "base",
        branch_label=None if last or owner == CHASSIS else owner,
        depends_on=None if last or owner == CHASSIS else chassis_head,
        version_path=str(versions),
        rev_id=f"{prefix}{number:04d}",
    )
    assert made is not None
    assert not isinstance(made, list)
    return Path(made.path)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not all(sys.argv[1:]):
        sys.exit('usage: make migration SERVICE=chassis|registry|rat|mentoring|reporting NAME="what it does"')
    print(start(sys.argv[1], sys.argv[2]))
