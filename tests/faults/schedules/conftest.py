"""The installation that end-to-end tests use is one of the systems that are broken here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "end_to_end"))
