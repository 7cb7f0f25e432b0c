"""The stories of PUAS: each a request, what the office decided, what the team did, and what came of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from random import Random

from contracts.regions import village
from dinkop.demonstration.calls import COOPERATIVE_ID, REQUEST_ID, Body, Call
from dinkop.demonstration.letters import camat_letter
from dinkop.demonstration.numbering import roman_month
from dinkop.demonstration.people import TEAMS, people
from dinkop.demonstration.regency import SEED, Cooperative, Regency

WOMENS_GROUP = "Kop. Wanita"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done about a request: a POST beneath it."""

    what: str
    body: Body


@dataclass(frozen=True, slots=True)
class Unregistered:
    """Somebody who is no cooperative of the register, and where they are."""

    name: str
    village_code: str
    address: str


@dataclass(frozen=True, slots=True)
class Petition:
    """A request for mentoring, of a cooperative by its NIK or of somebody else, and its course.

    `letter_on` is the date of the letter, if one came. `roles` says what those are who ask.
    """

    who: str | Unregistered
    category: str
    channel: str
    received_on: str
    complaint: str
    course: tuple[Step, ...] = ()
    letter_on: str | None = None
    roles: tuple[str, ...] = ("ketua", "sekretaris")


def asked(regency: Regency, petition: Petition) -> Call:
    """Return the request itself."""
    if isinstance(petition.who, Unregistered):
        about, nik, told = petition.who.name, None, _of_somebody(petition.who)
        women = False
    else:
        cooperative = regency.by_nik[petition.who]
        about = nik = cooperative.nik
        told = _of_cooperative(cooperative)
        women = cooperative.group == WOMENS_GROUP
    told |= {
        "people": people(f"{about} {petition.received_on}", petition.roles, women=women),
        "complaint": petition.complaint,
        "category": petition.category,
        "channel": petition.channel,
        "received_on": petition.received_on,
    }
    if petition.letter_on:
        told |= _letter(petition, told["location"]["kecamatan_code"])
    return Call("mentoring", about, "/v1/requests", told, nik)


def taken(request: Call, step: Step) -> Call:
    """Return a step about a request."""
    return Call("mentoring", request.about, f"/v1/requests/{REQUEST_ID}/{step.what}", step.body, request.nik)


def story_of(regency: Regency, petition: Petition) -> Iterator[Call]:
    """Yield a request and its course."""
    request = asked(regency, petition)
    yield request
    for step in petition.course:
        yield taken(request, step)


def accepted(on: str, *, visit_on: str) -> Step:
    """Take a request on; the teams take turns by the day of the visit."""
    team = TEAMS[date.fromisoformat(visit_on).toordinal() % len(TEAMS)]
    return Step("acceptances", {"team": list(team), "accepted_on": on, "visit_on": visit_on})


def declined(on: str, reason: str) -> Step:
    """Decline a request."""
    return Step("declines", {"reason": reason, "declined_on": on})


def redirected(on: str, to: str, reason: str) -> Step:
    """Hand a request on."""
    return Step("redirections", {"to": to, "reason": reason, "redirected_on": on})


def held(kind: str, on: str, participants: int, notes: str) -> Step:
    """Hold an activity: visit, training, monitoring, evaluation or rat_attendance."""
    return Step("activities", {"kind": kind, "held_on": on, "participants": participants, "notes": notes})


def completed(on: str, outcome: str, notes: str) -> Step:
    """End the mentoring."""
    return Step("completions", {"outcome": outcome, "notes": notes, "completed_on": on})


def _of_cooperative(cooperative: Cooperative) -> Body:
    here = village(cooperative.village_code) if cooperative.village_code else None
    in_village = f"Desa {here.name}" if here else f"Kecamatan {cooperative.kecamatan}"
    return {
        "cooperative_id": COOPERATIVE_ID,
        "cooperative_name": cooperative.name,
        "location": {
            "kecamatan_code": cooperative.kecamatan_code,
            "village_code": here and here.code,
            "address": cooperative.address or in_village,
        },
    }


def _of_somebody(who: Unregistered) -> Body:
    return {
        "cooperative_id": None,
        "cooperative_name": who.name,
        "location": {
            "kecamatan_code": who.village_code.rpartition(".")[0],
            "village_code": who.village_code,
            "address": who.address,
        },
    }


def _letter(petition: Petition, kecamatan_code: str) -> Body:
    assert petition.letter_on
    on = date.fromisoformat(petition.letter_on)
    number = Random(f"{SEED} letter {petition.who} {on}").randint(2, 60)
    by_itself = f"{number:03}/KOP/{roman_month(on)}/{on.year}"
    written = camat_letter(number, kecamatan_code, on) if petition.channel == "camat" else by_itself
    return {"letter_number": written, "letter_date": petition.letter_on}
