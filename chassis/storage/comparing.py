"""Proving that two generations hold the same rows: digests of buckets, then the rows of those that differ."""

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from chassis.storage.database import Connection

BUCKETS = 256
EXAMPLES = 20
"""Differences that are kept with both rows; all are counted."""
_PREFETCH = 2_000


class Difference(msgspec.Struct, frozen=True):
    """One row that differs: `added`, `removed` or `changed`; of a changed one only the columns that differ."""

    kind: str
    key: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class Compared(msgspec.Struct, frozen=True):
    """What a comparison of two generations at the same positions found.

    `before` and `after` are the digests of all rows, hex, over the columns that both have; `added_columns` and
    `removed_columns` are the others. `set_aside` counts rows that differ but were expected to.
    """

    positions: Mapping[str, int]
    rows: int
    before: str
    after: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    set_aside: int = 0
    added_columns: tuple[str, ...] = ()
    removed_columns: tuple[str, ...] = ()
    examples: tuple[Difference, ...] = ()

    @property
    def same(self) -> bool:
        """Tell whether every row is the same, but for those set aside."""
        return not (self.added or self.changed or self.removed or self.added_columns or self.removed_columns)


@dataclass(frozen=True, slots=True)
class Side:
    """One of two generations: its table, qualified, and a connection whose transaction sees the moment to compare."""

    connection: Connection
    schema: str
    table: str

    async def columns(self) -> list[str]:
        """Return the names of its columns, in the table's order."""
        rows = await self.connection.fetch(
            """SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2
               ORDER BY ordinal_position""",
            self.schema,
            self.table,
        )
        return [row[0] for row in rows]


async def compare(
    before: Side, after: Side, key: str, positions: Mapping[str, int], expected: Collection[str] = ()
) -> Compared:
    """Compare two generations that have read the same events; `key` names the primary key, the first column.

    A bucket's digest is the SHA-256 of the digests of its rows in the order of their keys. Only rows of buckets that
    differ are looked at one by one, in one pass over both sides, so that memory does not grow with them. Rows
    whose keys, as text, are `expected` to differ are counted apart.
    """
    had, have = await before.columns(), await after.columns()
    common = [name for name in had if name in have]
    one, other = [await _digest(side, key, common) for side in (before, after)]
    counts = {"added": 0, "changed": 0, "removed": 0}
    set_aside, found = 0, list[tuple[str, str]]()
    differing = [bucket for bucket in range(BUCKETS) if one.buckets.get(bucket) != other.buckets.get(bucket)]
    if differing:
        async for kind, row_key in _merged(before, after, key, common, differing):
            if row_key in expected:
                set_aside += 1
                continue
            counts[kind] += 1
            if len(found) < EXAMPLES:
                found.append((kind, row_key))
    return Compared(
        positions=positions,
        rows=other.rows,
        before=one.total,
        after=other.total,
        **counts,
        set_aside=set_aside,
        added_columns=tuple(name for name in have if name not in had),
        removed_columns=tuple(name for name in had if name not in have),
        examples=tuple([await _difference(before, after, key, *each) for each in found]),
    )


@dataclass(frozen=True, slots=True)
class _Digest:
    rows: int
    buckets: Mapping[int, str]

    @property
    def total(self) -> str:
        lines = "".join(f"{bucket} {digest}\n" for bucket, digest in sorted(self.buckets.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def _hashed(side: Side, key: str, columns: list[str]) -> str:
    """Return the query of (key as text, bucket, digest of the row)."""
    names = ", ".join(f'"{name}"' for name in columns)
    return (
        f'SELECT "{key}"::text COLLATE "C" AS k, hashtext("{key}"::text) & {BUCKETS - 1} AS bucket,'
        f" encode(sha256(convert_to(ROW({names})::text, 'UTF8')), 'hex') AS digest"
        f' FROM "{side.schema}"."{side.table}"'
    )


async def _digest(side: Side, key: str, columns: list[str]) -> _Digest:
    found = await side.connection.fetch(
        f"""SELECT bucket, count(*), encode(sha256(convert_to(string_agg(digest, '' ORDER BY k), 'UTF8')), 'hex')
            FROM ({_hashed(side, key, columns)}) AS hashed GROUP BY bucket"""
    )
    return _Digest(sum(row[1] for row in found), {row[0]: row[2] for row in found})


async def _merged(
    before: Side, after: Side, key: str, columns: list[str], buckets: list[int]
) -> AsyncIterator[tuple[str, str]]:
    """Yield (kind, key) of every row that differs, both sides read once in the order of keys."""

    def rows(side: Side) -> AsyncIterator[Any]:
        query = f"SELECT k, digest FROM ({_hashed(side, key, columns)}) AS hashed WHERE bucket = ANY($1) ORDER BY k"
        return aiter(side.connection.cursor(query, buckets, prefetch=_PREFETCH))

    left, right = rows(before), rows(after)
    old, new = await anext(left, None), await anext(right, None)
    while old is not None or new is not None:
        if old is not None and (new is None or old[0] < new[0]):
            yield "removed", old[0]
            old = await anext(left, None)
        elif new is not None and (old is None or new[0] < old[0]):
            yield "added", new[0]
            new = await anext(right, None)
        elif old is not None and new is not None:
            if old[1] != new[1]:
                yield "changed", old[0]
            old, new = await anext(left, None), await anext(right, None)


async def _difference(before: Side, after: Side, key: str, kind: str, row_key: str) -> Difference:
    old, new = await _row(before, key, row_key), await _row(after, key, row_key)
    if old is not None and new is not None:
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        old, new = ({name: row[name] for name in names if name in row} for row in (old, new))
    return Difference(kind, row_key, old, new)


async def _row(side: Side, key: str, row_key: str) -> dict[str, Any] | None:
    text = await side.connection.fetchval(
        f'SELECT to_jsonb(t)::text FROM "{side.schema}"."{side.table}" AS t WHERE "{key}"::text = $1', row_key
    )
    return msgspec.json.decode(text) if text else None


def lines(compared: Compared, most: int = EXAMPLES) -> list[str]:
    """Return a comparison in words, one line a finding."""
    told = [
        f"{count:,} rows {kind}"
        for kind, count in (("added", compared.added), ("changed", compared.changed), ("removed", compared.removed))
        if count
    ] + [
        f"columns {kind}: {', '.join(names)}"
        for kind, names in (("added", compared.added_columns), ("removed", compared.removed_columns))
        if names
    ]
    for each in islice(compared.examples, most):
        told.append(f"  {each.kind} {each.key}")
        if each.before is not None and each.after is not None:
            told.extend(
                f"    {name}: {_brief(each.before.get(name))} -> {_brief(each.after.get(name))}"
                for name in {**each.before, **each.after}
            )
    return told


def _brief(value: Any, most: int = 120) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"
