"""People who do not exist: who asks for mentoring, under telephone numbers of nobody, and the office's team."""

from random import Random

from dinkop.demonstration.calls import Body
from dinkop.demonstration.regency import SEED

_MEN = (
    *("Sutrisno", "Mulyono", "Supriyadi", "Kusnan", "Heri", "Joko", "Agus", "Didik", "Suyitno", "Wagiman", "Zainul"),
    *("Ponidi", "Arifin", "Samsul", "Hariyono", "Misdi", "Slamet", "Rudi"),
)
_WOMEN = (
    *("Endang", "Sri", "Lilik", "Yuli", "Anik", "Rini", "Titik", "Umi", "Siti", "Sulastri", "Wiwik", "Nanik"),
    *("Luluk", "Ninik", "Suparmi", "Ernawati", "Maisaroh", "Dwi"),
)
_MENS_LAST = (
    *("Handoko", "Prasetyo", "Santoso", "Purnomo", "Kurniawan", "Widodo", "Setiawan", "Wibisono", "Hidayat"),
    *("Sugianto", "Wahyudi", "Suprapto", "Firmansyah", "Kuncoro"),
)
_WOMENS_LAST = (
    *("Lestari", "Wulandari", "Rahayu", "Hidayati", "Astutik", "Mahmudah", "Puspitasari", "Nurhayati", "Utami"),
    *("Kusumawati", "Handayani", "Fauziah", "Setyowati", "Ningsih"),
)

TEAMS = (
    ("Retno Widyastuti", "Fajar Nugroho"),
    ("Bagus Wicaksono", "Ika Permatasari", "Fajar Nugroho"),
    ("Hendra Saputra", "Dian Anggraini"),
)
"""Who comes from the office."""


def people(about: str, roles: tuple[str, ...], *, women: bool) -> list[Body]:
    """Return somebody in each role; the first can be called. The same every time, about the same."""
    draw = Random(f"{SEED} people {about}")
    invented: list[Body] = []
    for role in roles:
        is_woman = women or draw.randrange(10) < 4
        name = draw.choice(_WOMEN if is_woman else _MEN), draw.choice(_WOMENS_LAST if is_woman else _MENS_LAST)
        invented.append({"name": " ".join(name), "role": role})
    # 0800 is the prefix of toll-free lines: no person has such a number.
    return [invented[0] | {"phone": f"0800-0000-{draw.randrange(10_000):04}"}, *invented[1:]]
