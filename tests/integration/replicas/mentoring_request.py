"""A request for mentoring, as the tests of replicas send it."""

from typing import Any

REQUEST: dict[str, Any] = {
    "cooperative_id": None,
    "cooperative_name": "Koperasi Tani Contoh",
    "location": {"kecamatan_code": "35.07.21", "address": "Jl. Raya Wagir 12"},
    "people": [{"name": "Nama Pemohon", "role": "ketua", "phone": "0800-0000-0000"}],
    "complaint": "RAT belum terlaksana.",
    "category": "rat",
    "channel": "letter",
    "received_on": "2024-11-04",
}
