"""The script that makes the roles and databases of a real server."""

from chassis.settings import Settings
from chassis.storage.roles import script

SERVICES = ("registry", "rat")


def test_it_asks_psql_for_the_passwords_and_holds_none() -> None:
    text = script(SERVICES)
    for role in ("registry", "registry_owner", "rat", "rat_owner"):
        assert f"ALTER ROLE \"{role}\" PASSWORD :'{role}_password';" in text
        assert f"-v {role}_password=…" in text.splitlines()[0]
    assert text.count("PASSWORD") == 4


def test_it_can_be_run_again() -> None:
    for line in script(SERVICES).splitlines():
        assert not line.startswith("CREATE"), "what is there already would end the script"
        assert not line.startswith("SELECT") or line.endswith(r"\gexec")


def test_settings_that_are_shown_do_not_show_the_ways_into_the_database() -> None:
    settings = Settings(
        database_url="postgresql://registry:secret@db/registry", migration_url="postgresql://o:secret@db"
    )
    assert "secret" not in f"{settings!r} {settings}"
