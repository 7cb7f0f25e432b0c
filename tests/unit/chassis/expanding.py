"""What a schema version takes from code beside it, by its text: docs/decisions/0018-expand-then-contract.md."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DECLARATION = "UNNEEDED_SINCE"
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_FUNCTION_BODY = re.compile(r"(CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION\b.*?)(\$\w*\$).*?\2", re.DOTALL | re.IGNORECASE)
_TAKING = {
    "drops": r"\bDROP\s+(?:TABLE|COLUMN|(?:MATERIALIZED\s+)?VIEW|FUNCTION|TYPE|DOMAIN|SCHEMA|SEQUENCE|DEFAULT)\b",
    "renames": r"\bRENAME\b",
    "changes a type": r"\bALTER\s+(?:COLUMN\s+)?\w+\s+(?:SET\s+DATA\s+)?TYPE\b|\bALTER\s+(?:TYPE|DOMAIN)\b",
    "forbids null": r"\bSET\s+NOT\s+NULL\b",
    "constrains": r"\bADD\s+(?:CONSTRAINT|CHECK|UNIQUE|FOREIGN\s+KEY|PRIMARY\s+KEY|EXCLUDE)\b",
    "revokes": r"\bREVOKE\b",
    "deletes": r"\b(?:DELETE\s+FROM|TRUNCATE)\b",
    "changes by Alembic": r"\bop\.(?:drop_|alter_column|rename_|create_(?:check|unique|foreign|exclude|primary))",
}
_ADDED = re.compile(r"\bADD\s+COLUMN\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)((?:\([^)]*\)|[^,;()])*)", re.IGNORECASE)
_UNIQUE_INDEX = re.compile(r"\bCREATE\s+UNIQUE\s+INDEX\b.*?\bON\s+(\w+)", re.IGNORECASE | re.DOTALL)
_MADE = re.compile(r"\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.IGNORECASE)


def takings(text: str) -> list[str]:
    """Return what a version takes from older code, in words; nothing when it only expands."""
    sql = _FUNCTION_BODY.sub(r"\1", _COMMENT.sub("", text))
    return list(_found(sql))


def _found(sql: str) -> Iterator[str]:
    for what, pattern in _TAKING.items():
        for match in re.finditer(pattern, sql, re.IGNORECASE):
            yield f"{what}: {' '.join(match[0].split())}"
    for column, rest in _ADDED.findall(sql):
        if re.search(r"\bNOT\s+NULL\b", rest, re.IGNORECASE) and not re.search(
            r"\b(?:DEFAULT|GENERATED)\b", rest, re.IGNORECASE
        ):
            yield f"adds a column that older code does not fill: {column}"
    made = set(_MADE.findall(sql))
    for table in _UNIQUE_INDEX.findall(sql):
        if table not in made:
            yield f"constrains: unique index on {table}"


@dataclass(frozen=True)
class Version:
    """One schema version: its Python file, and the SQL beside it."""

    file: Path

    @property
    def text(self) -> str:
        """Return what it does: its upgrade, not its words nor its downgrade."""
        script = self.file.with_suffix(".sql")
        return "\n;".join([*self._upgrade(), script.read_text("utf-8") if script.exists() else ""])

    def _upgrade(self) -> Iterator[str]:
        module = ast.parse(self.file.read_text("utf-8"))
        [upgrade] = (each for each in module.body if isinstance(each, ast.FunctionDef) and each.name == "upgrade")
        for node in (node for statement in upgrade.body[1:] for node in ast.walk(statement)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.Attribute):
                yield ast.unparse(node)

    @property
    def unneeded_since(self) -> str | None:
        """Return the first release whose code no longer needs what it takes away, as it declares."""
        match = re.search(rf'^{DECLARATION} = "([0-9.]+)"', self.file.read_text("utf-8"), re.MULTILINE)
        return match[1] if match else None


def versions(repository: Path) -> list[Version]:
    """Return every schema version there is."""
    folders = [repository / "chassis/storage", *sorted((repository / "services").iterdir())]
    found = (file for folder in folders for file in sorted((folder / "migrations/versions").glob("*.py")))
    return [Version(file) for file in found if file.name != "__init__.py"]
