"""The office at work: it gives commands over HTTP, expects the answers of the text, and remembers what was accepted."""

import csv
import io
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import httpx
import refusals
from by_the_text import Events, the_register
from system import TODAY

type Body = dict[str, Any]

NOBODY = "0190b5a0-0000-7000-8000-000000000000"
EVIDENCE: dict[str, Body] = {
    # "Derived unless given: operating -> found; else members reached or office found -> dormant; else not_found."
    "found": {"operating": True, "members_reached": True, "office_found": True},
    "dormant": {"operating": False, "members_reached": False, "office_found": True},
    "not_found": {"operating": False, "members_reached": False, "office_found": False},
    "moved": {"operating": True, "members_reached": True, "office_found": False, "finding": "moved"},
}
ANSWERS = {
    "accepted": ("acceptances", "accepted_on", {"team": ["Bu Sri"]}),
    "declined": ("declines", "declined_on", {"reason": "Di luar wilayah"}),
    "redirected": ("redirections", "redirected_on", {"to": "Dinas lain", "reason": "Di luar wilayah"}),
    "activity": ("activities", "held_on", {"kind": "training", "participants": 12, "notes": "Bimtek"}),
    "completed": ("completions", "completed_on", {"outcome": "rat_held", "notes": "RAT terlaksana"}),
}
UNTOLD = {"nik": None, "legal_entity_date": None, "kecamatan_code": None, "village_code": None, "tier": "primary"}
FORMS = {"primary": "Primer", "secondary": "Sekunder"}
AREAS = {"regency": "Kabupaten/Kota", "province": "Provinsi", "national": "Nasional"}
_numbers = itertools.count(1)


@dataclass
class Office:
    """Everything it had accepted, per cooperative and per request, in the order of recording.

    An event is a dict: `what`, `at` and `id` as the service recorded it, and what was said. A command that breaks no
    rule must be accepted, one that breaks some must be refused for one of them; and none may end in a 5xx.
    `positions` are those reached so far, by this office and those before it.
    """

    clients: dict[str, httpx.Client]
    positions: dict[str, int]
    cooperatives: dict[str, Events] = field(default_factory=lambda: defaultdict(list))
    requests: dict[str, Events] = field(default_factory=lambda: defaultdict(list))
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def at_least(self) -> dict[str, str]:
        """Return the parameter that makes a read wait for everything accepted so far."""
        if not self.positions:
            return {}
        return {"at_least": ",".join(f"{service}:{position}" for service, position in self.positions.items())}

    # ------------------------------------------------------------ registry

    def legal_entity_number(self, number: int) -> str:
        """Return a number that no other office has."""
        return f"{self.number:06d}/{number:03d}/BH"

    def nik(self, number: int) -> str:
        """Return a NIK that no other office has."""
        return f"{self.number:09d}{number:04d}"

    def register(self, body: Body) -> str | None:
        """Register a cooperative; return its id when it was accepted."""
        others = [*self.cooperatives.values()]
        answer = self._answer("registry", "/v1/cooperatives", body, refusals.of_registration(body, others))
        if answer is None:
            return None
        cooperative_id: str = answer["cooperative_id"]
        self._note(f"/v1/cooperatives/{cooperative_id}", answer, {"what": "registered", **UNTOLD, **body})
        return cooperative_id

    def correct(self, cooperative_id: str, changes: Body) -> None:
        """Correct a record."""
        others = [events for other, events in self.cooperatives.items() if other != cooperative_id]
        broken = refusals.of_correction(changes, self.cooperatives.get(cooperative_id, []), others)
        event = {"what": "corrected", "changes": changes}
        self._command(cooperative_id, "corrections", {"changes": changes, "reason": "Salah tulis"}, broken, event)

    def relocate(self, cooperative_id: str, body: Body) -> None:
        """Record that a cooperative moved."""
        broken = refusals.of_relocation(body, self.cooperatives.get(cooperative_id, []))
        event = {"what": "relocated", "village_code": None, **body}
        self._command(cooperative_id, "relocations", {"address": "Jl. Baru 1", **body}, broken, event)

    def trace(self, cooperative_id: str, traced_on: date, finding: str) -> None:
        """Report what was found on the spot."""
        event = {"traced_on": traced_on, "finding": finding}
        broken = refusals.of_tracing(event, self.cooperatives.get(cooperative_id, []))
        body = {"traced_on": traced_on, "signboard_found": False, **EVIDENCE[finding]}
        self._command(cooperative_id, "tracings", body, broken, {"what": "traced", **event})

    def propose_removal(self, cooperative_id: str, letter_date: date) -> None:
        """Propose a removal."""
        body = {"letter_number": "518/77", "letter_date": letter_date, "grounds": "Tidak ditemukan"}
        broken = refusals.of_proposal(body, self.cooperatives.get(cooperative_id, []))
        self._command(cooperative_id, "removal-proposals", body, broken, {"what": "removal_proposed", **body})

    def decide_removal(self, cooperative_id: str, decision: str, decided_on: date) -> None:
        """Record the Ministry's decision."""
        body = {"decision": decision, "decree_number": "114/KEP", "decided_on": decided_on, "authority": "Kementerian"}
        broken = refusals.of_decision(body, self.cooperatives.get(cooperative_id, []))
        self._command(cooperative_id, "removal-decisions", body, broken, {"what": f"removal_{decision}", **body})

    def import_listing(self, cooperative_id: str, listing: Body) -> str | None:
        """Import a list of one row: of a cooperative what is different, of NOBODY all of a new one.

        Return its id, None when the row was rejected, which one about the future has to be. What of it is news is for
        the registry to say: remembered is what it recorded.
        """
        number = 500 + len(self.cooperatives)
        record: Body | None = {"legal_entity_number": self.legal_entity_number(number), "nik": self.nik(number)}
        if cooperative_id in self.cooperatives:
            record, _ = the_register(self.cooperatives[cooperative_id])
        listing = {**(record or {}), **listing}
        day: date | None = listing["legal_entity_date"]
        row = {
            "Koperasi": listing["name"],
            "Nomor Badan Hukum Pendirian": listing["legal_entity_number"],
            "Tanggal Badan Hukum Pendirian": f"{day:%d/%m/%Y}" if day else "",
            "Kecamatan": listing["kecamatan"],
            "Nomor Induk Koperasi (NIK)": listing["nik"] or "",
            "Bentuk Koperasi": f"{FORMS[listing['tier']]} {AREAS[listing['scope']]}",
        }
        answer = self._import("registry", row)
        assert answer["rejected"] == (day is not None and day > TODAY), answer
        if answer["rejected"]:
            return None
        if answer["registered"]:
            assert cooperative_id == NOBODY
            [found] = self._get("registry", "/v1/cooperatives", {"q": listing["nik"], **self.at_least})["items"]
            cooperative_id = found["cooperative_id"]
        path = f"/v1/cooperatives/{cooperative_id}"
        for event in self._news("registry", path, self.cooperatives[cooperative_id]):
            data = _dated(event.pop("data"))
            if event["type"] == "CooperativeRegistered":
                event |= {"what": "registered", **UNTOLD, **data}
            else:
                assert event["type"] == "MinistryRecordChanged"
                event |= {"what": "listed", "changes": _dated(data["changes"])}
            self.cooperatives[cooperative_id].append(event)
        return cooperative_id

    # ------------------------------------------------------------ rat

    def record_meeting(self, cooperative_id: str, body: Body) -> None:
        """Record an annual meeting."""
        broken = refusals.of_meeting(body, self.cooperatives.get(cooperative_id, []))
        event = {"what": "held", "source": "office", **body}
        self._command(cooperative_id, "rats", body, broken, event, "rat")

    def verify_meeting(self, cooperative_id: str, book_year: int, verified_on: date) -> None:
        """Verify a record."""
        body = {"verified_on": verified_on}
        broken = refusals.of_verification(body, book_year, self.cooperatives.get(cooperative_id, []))
        event = {"what": "verified", "book_year": book_year, **body}
        self._command(cooperative_id, f"rats/{book_year}/verifications", body, broken, event, "rat")

    def correct_meeting(self, cooperative_id: str, book_year: int, changes: Body) -> None:
        """Correct a record."""
        body = {"changes": changes, "reason": "Salah tulis"}
        broken = refusals.of_meeting_correction(changes, book_year, self.cooperatives.get(cooperative_id, []))
        event = {"what": "rat_corrected", "book_year": book_year, "changes": changes}
        self._command(cooperative_id, f"rats/{book_year}/corrections", body, broken, event, "rat")

    def annul_meeting(self, cooperative_id: str, book_year: int) -> None:
        """Declare a record void."""
        broken = refusals.of_annulment(book_year, self.cooperatives.get(cooperative_id, []))
        event = {"what": "annulled", "book_year": book_year}
        body = {"reason": "Berita acara koperasi lain"}
        self._command(cooperative_id, f"rats/{book_year}/annulments", body, broken, event, "rat")

    def import_meeting(self, cooperative_id: str, held_on: date, grade: str) -> None:
        """Import a list of one row with a last meeting and a grade; remember what it recorded."""
        if cooperative_id not in self.cooperatives:
            return
        events = self.cooperatives[cooperative_id]
        record, _ = the_register(events)
        assert record is not None
        row = {
            "Nomor Induk Koperasi (NIK)": record["nik"] or "",
            "Nomor Badan Hukum Pendirian": record["legal_entity_number"],
            "Tanggal RAT Terakhir": f"{held_on:%d/%m/%Y}",
            "Status Grade": grade,
        }
        self._import("rat", row)
        for event in self._news("rat", f"/v1/cooperatives/{cooperative_id}", events):
            what = {"RATHeld": "held", "RATAttested": "attested"}[event["type"]]
            events.append({**event, "what": what, **_dated(event["data"])})

    # ------------------------------------------------------------ mentoring

    def ask_mentoring(self, cooperative_id: str | None, body: Body) -> str | None:
        """Ask for mentoring; return the request's id when it was accepted."""
        about = self.cooperatives.get(cooperative_id, []) if cooperative_id else None
        told = {
            "cooperative_id": cooperative_id,
            "cooperative_name": "Koperasi Tani Contoh",
            "location": {"kecamatan_code": body["kecamatan_code"], "address": "Jl. Raya 12"},
            "people": [],
            "complaint": "RAT belum terlaksana",
            "category": "rat",
            "channel": "letter",
            "received_on": body["received_on"],
        }
        answer = self._answer("mentoring", "/v1/requests", told, refusals.of_request(body, about))
        if answer is None:
            return None
        request_id: str = answer["request_id"]
        event = {"what": "requested", "on": body["received_on"], "cooperative_id": cooperative_id, **body}
        self._note(f"/v1/requests/{request_id}", answer, event)
        return request_id

    def answer_request(self, request_id: str, what: str, body: Body) -> None:
        """Accept, decline, redirect, work on or complete a request on a day (`on`)."""
        command, day, words = ANSWERS[what]
        told = {**words, **body, day: body["on"]}
        if what == "accepted":
            told.setdefault("visit_on", body["on"])
        del told["on"]
        broken = refusals.of_answer(what, body, self.requests.get(request_id, []))
        path = f"/v1/requests/{request_id}"
        if answer := self._answer("mentoring", f"{path}/{command}", told, broken):
            self._note(path, answer, {"what": what, **body})

    # ------------------------------------------------------------ how it is said

    def _command(
        self,
        cooperative_id: str,
        command: str,
        body: Body,
        broken: refusals.Refusals,
        event: Body,
        service: str = "registry",
    ) -> None:
        path = f"/v1/cooperatives/{cooperative_id}"
        if answer := self._answer(service, f"{path}/{command}", body, broken):
            self._note(path, answer, event, service)

    def _answer(self, service: str, path: str, body: Body, broken: refusals.Refusals) -> Body | None:
        """Give a command; return the answer when it was accepted, as it had to be."""
        params = {} if service == "registry" else self.at_least
        content = json.dumps(body, default=str)
        answer = self.clients[service].post(
            path, content=content, headers={"Content-Type": "application/json"}, params=params
        )
        said: Body = answer.json()
        about = f"{path} {content} -> {answer.status_code} {answer.text}, broken rules: {broken or 'none'}"
        if answer.status_code != 201:
            slug = said["type"].removeprefix("/problems/")
            assert broken & {str(answer.status_code), f"{answer.status_code} {slug}"}, about
            return None
        self._reached(answer)
        assert not broken, about
        return said

    def _note(self, path: str, answer: Body, event: Body, service: str = "registry") -> None:
        """Remember an event under the id and time that the service recorded it with."""
        if path.startswith("/v1/requests"):
            service, events = "mentoring", self.requests[path.rpartition("/")[2]]
        else:
            events = self.cooperatives[path.rpartition("/")[2]]
        [recorded] = self._news(service, path, events)
        assert recorded["version"] == answer["version"]
        events.append({**recorded, **event})

    def _news(self, service: str, path: str, events: Events) -> Events:
        """Return what a service recorded about a subject since we looked last."""
        history = self._get(service, f"{path}/history", {"limit": "500"} | (self.at_least if service == "rat" else {}))
        seen = len([event for event in events if event["service"] == service])
        return [
            {"service": service, "id": item["event_id"], "at": datetime.fromisoformat(item["recorded_at"])}
            | {name: item[name] for name in ("type", "version", "data")}
            for item in history["items"][seen:]
        ]

    def _import(self, service: str, row: dict[str, str]) -> Body:
        file = io.StringIO()
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
        params = {"source": "ods"} | ({} if service == "registry" else self.at_least)
        files = {"file": ("ods.csv", file.getvalue().encode(), "text/csv")}
        answer = self.clients[service].post("/v1/imports", params=params, files=files)
        assert answer.status_code == 200, answer.text
        self._reached(answer)
        report: Body = answer.json()
        return report

    def _get(self, service: str, path: str, params: dict[str, str]) -> Body:
        answer = self.clients[service].get(path, params=params)
        assert answer.status_code == 200, f"{path} {params} -> {answer.text}"
        said: Body = answer.json()
        return said

    def _reached(self, answer: httpx.Response) -> None:
        service, _, position = answer.headers["dinkop-position"].partition(":")
        self.positions[service] = int(position)


def _dated(data: Body) -> Body:
    """Return what was recorded with its dates as dates."""
    return {
        name: date.fromisoformat(value) if value and name.endswith(("_on", "_date")) else value
        for name, value in data.items()
    }
