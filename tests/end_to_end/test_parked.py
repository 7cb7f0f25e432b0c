"""A row that the database refuses is parked while everything goes on; an operator tries it again, or gives it up."""

import json

from running import Installation

CONSTRAINT = "ALTER TABLE cooperatives_g{generation}.cooperatives {change} CONSTRAINT no_such_name"
CHECK = " CHECK (name NOT LIKE '%Terlarang%') NOT VALID"


def alter(system: Installation, change: str) -> None:
    """Let the registry's table refuse a name (ADD), or no longer (DROP)."""
    generation = system.live()["registry.cooperatives"]["generation"]
    statement = CONSTRAINT.format(generation=generation, change=change) + (CHECK if change == "ADD" else "")
    system.by_hand("registry", statement)


def rename(system: Installation, id: str, name: str) -> str:
    """Correct a cooperative's name; return the position."""
    body = {"changes": {"name": name}, "reason": "as on the signboard"}
    return system.post("registry", f"/v1/cooperatives/{id}/corrections", body)[1]


def found(system: Installation, name: str, position: str) -> list[str]:
    """Return the cooperatives that have this name, for readers who wait for a position."""
    return [item["name"] for item in system.get("registry", "/v1/cooperatives", q=name, at_least=position)["items"]]


def test_an_event_that_no_table_takes_is_parked_and_applied_when_it_is_mended(system: Installation) -> None:
    id, _ = system.register("Koperasi Parkir")
    alter(system, "ADD")
    try:
        rename(system, id, "Koperasi Terlarang")
        system.post("registry", f"/v1/cooperatives/{id}/corrections", {"changes": {"address": "x"}, "reason": "y"})
        _, elsewhere = system.register("Koperasi Jalan Terus")
        assert found(system, "Jalan Terus", elsewhere) == ["Koperasi Jalan Terus"]
        poison, waiting = system.json("parked", "list", "--consumer", "registry.cooperatives")["items"]
        assert (poison["state"], waiting["state"]) == ("failed", "waiting")
        assert (poison["key"], waiting["key"]) == (id, id)
        assert system.live()["registry.cooperatives"]["parked"] == 2
        shown = system.json("parked", "show", poison["id"])
        assert shown["data"]["changes"] == {"name": "***"}
        assert "no_such_name" in shown["exception"]
        assert "Terlarang" not in json.dumps(shown)
        assert system.json("parked", "retry", poison["id"], code=1)["still_parked"] == 2
    finally:
        alter(system, "DROP")
    assert system.json("parked", "retry", "all")["items"][0]["applied"] == 2
    assert found(system, "Terlarang", elsewhere) == ["Koperasi Terlarang"]
    assert system.json("parked")["items"] == []


def test_what_is_given_up_stays_left_out_when_the_projection_is_rebuilt(system: Installation) -> None:
    id, _ = system.register("Koperasi Buang")
    alter(system, "ADD")
    position = rename(system, id, "Koperasi Terlarang Sekali")
    assert found(system, "Buang", position) == ["Koperasi Buang"]
    [poison] = system.json("parked")["items"]
    system.dinkop("parked", "discard", poison["id"], code=2)
    system.dinkop("parked", "discard", poison["id"], "--reason", "a name for nobody")
    [kept] = system.json("parked", "list", "--discarded")["items"]
    assert (kept["id"], kept["reason"], kept["discarded_by"]) == (poison["id"], "a name for nobody", system.account)
    assert "a name for nobody" in system.dinkop("parked", "list", "--discarded")
    assert "discarded it" in system.dinkop("parked", "show", poison["id"], code=1)
    alter(system, "DROP")
    system.dinkop("rebuild", "registry.cooperatives")
    assert found(system, "Buang", position) == ["Koperasi Buang"]
    assert found(system, "Terlarang Sekali", position) == []
    # The other projections have it: it was wrong for this one only.
    changed = [event["type"] for event in system.items("reporting", f"/v1/cooperatives/{id}/timeline")]
    assert "CooperativeCorrected" in changed
