"""A schema version leaves older code what it needs, or says since when no code needs it."""

import tomllib
from pathlib import Path

import pytest
from expanding import DECLARATION, Version, takings, versions

REPOSITORY = Path(__file__).parents[3]
RELEASE = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["version"]
"""What is worked on: the code that takes something away must have come out before it."""


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers to compare."""
    return tuple(map(int, version.split(".")))


@pytest.mark.parametrize("version", versions(REPOSITORY), ids=lambda version: version.file.stem)
def test_a_version_takes_nothing_away_before_the_code_that_does_without_is_out(version: Version) -> None:
    taken = takings(version.text)
    if version.unneeded_since is None:
        assert taken == [], f"expand first; a contraction comes a release later and says {DECLARATION}"
    else:
        assert taken, f"{DECLARATION} is said of what takes nothing away"
        assert numbers(version.unneeded_since) < numbers(RELEASE)


def test_all_versions_are_read() -> None:
    texts = {each.file.stem: each.text for each in versions(REPOSITORY)}
    assert "CREATE TABLE events" in texts["0001_event_store"]
    assert "CREATE TABLE policies" in texts["reporting_0001_policies"]
    assert "DROP TABLE data_keys" in texts["mentoring_0002_keys_leave"]
    assert "DROP TABLE policies" not in texts["reporting_0001_policies"], "going back is no upgrade"


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE data_keys",
        "ALTER TABLE events DROP COLUMN metadata",
        "ALTER TABLE events RENAME COLUMN data TO body",
        "ALTER TABLE events RENAME TO facts",
        "ALTER TABLE events ALTER COLUMN position TYPE numeric",
        "alter table events alter position set data type numeric",
        "ALTER TABLE inbox ALTER COLUMN detail SET NOT NULL",
        "ALTER TABLE inbox ALTER attempts DROP DEFAULT",
        "ALTER TABLE inbox ADD COLUMN weight integer NOT NULL",
        "ALTER TABLE inbox ADD COLUMN a integer, ADD COLUMN b numeric(3, 1) NOT NULL",
        "ALTER TABLE inbox ADD CONSTRAINT c CHECK (attempts < 9)",
        "CREATE UNIQUE INDEX one ON inbox (detail)",
        "DROP FUNCTION append(jsonb)",
        "REVOKE EXECUTE ON FUNCTION append(jsonb) FROM PUBLIC",
        "DELETE FROM discarded",
        'op.drop_column("inbox", "detail")',
        "DO $$ BEGIN EXECUTE 'DROP TABLE events'; END $$",
    ],
)
def test_what_older_code_would_miss_is_found(sql: str) -> None:
    assert len(takings(sql)) == 1, sql


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE a (b integer NOT NULL UNIQUE); CREATE UNIQUE INDEX c ON a (b)",
        "ALTER TABLE inbox ADD COLUMN weight integer",
        "ALTER TABLE inbox ADD COLUMN weight integer NOT NULL DEFAULT 0",
        "ALTER TABLE inbox ADD COLUMN place bigint NOT NULL GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE inbox DROP CONSTRAINT inbox_outcome_check",
        "ALTER TABLE inbox ALTER COLUMN detail DROP NOT NULL",
        "CREATE INDEX later ON inbox (detail)",
        "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM claims; END $$",
        "-- DROP TABLE events, one day",
    ],
)
def test_what_older_code_never_notices_is_let_pass(sql: str) -> None:
    assert takings(sql) == []
