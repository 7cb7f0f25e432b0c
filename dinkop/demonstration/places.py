"""Where the invented cooperatives are: how many in each kecamatan, and how the Ministry writes it."""

from dataclasses import dataclass

from contracts.regions import Village, all_kecamatan, villages


@dataclass(frozen=True, slots=True)
class Place:
    """A kecamatan as the Ministry knows it.

    `bps_code` is the three-digit code of BPS that a NIK carries, which orders kecamatan otherwise than Kemendagri.
    """

    code: str
    bps_code: str
    cooperatives: int
    written: str
    villages: tuple[Village, ...]


# fmt: off
_BPS_CODE_AND_SIZE = {
    "35.07.01": ("010", 44), "35.07.02": ("030", 29), "35.07.03": ("040", 31), "35.07.04": ("060", 51),
    "35.07.05": ("070", 64), "35.07.06": ("090", 19), "35.07.07": ("100", 31), "35.07.08": ("110", 40),
    "35.07.09": ("120", 51), "35.07.10": ("140", 67), "35.07.11": ("020", 23), "35.07.12": ("170", 42),
    "35.07.13": ("160", 67), "35.07.14": ("130", 52), "35.07.15": ("230", 12), "35.07.16": ("240", 66),
    "35.07.17": ("260", 33), "35.07.18": ("250", 80), "35.07.19": ("220", 75), "35.07.20": ("190", 18),
    "35.07.21": ("210", 36), "35.07.22": ("300", 41), "35.07.23": ("290", 58), "35.07.24": ("280", 78),
    "35.07.25": ("270", 71), "35.07.26": ("310", 30), "35.07.27": ("320", 47), "35.07.28": ("330", 17),
    "35.07.29": ("050", 23), "35.07.30": ("080", 24), "35.07.31": ("180", 19), "35.07.32": ("200", 20),
    "35.07.33": ("150", 28),
}
# fmt: on
_WRITTEN_APART = {"35.07.07": "Ponco Kusumo", "35.07.12": "Sumber Pucung", "35.07.30": "Tirto Yudo"}


def places() -> tuple[Place, ...]:
    """Return the 33 kecamatan, by Kemendagri code."""
    return tuple(
        Place(
            code=kecamatan.code,
            bps_code=_BPS_CODE_AND_SIZE[kecamatan.code][0],
            cooperatives=_BPS_CODE_AND_SIZE[kecamatan.code][1],
            written=_WRITTEN_APART.get(kecamatan.code, kecamatan.name),
            villages=villages(kecamatan.code),
        )
        for kecamatan in all_kecamatan()
    )
