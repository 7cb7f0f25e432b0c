"""A source's list as a declaration: its columns, how it writes numbers and days, and what a row of it says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pydantic import TypeAdapter, ValidationError

from chassis.definitions import cells
from chassis.definitions.cells import BadCell, NumberFormat, RowProblem
from services.registry.domain.cooperative import Listing, ListSource
from services.registry.domain.imports import Reading

_TEXTS = ("name", "legal_entity_number", "group", "sector", "address")
_LISTING: TypeAdapter[Listing] = TypeAdapter(Listing)

type Vocabulary = Mapping[str, Mapping[str, str]]
"""What a word, in lower case, says of which fields."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """How one source writes its list.

    `columns` names the column of each field; those in `needed` a file must have, the others it may.
    `numbers` and `day` are the source's formats and are never guessed. `nik` reads the column that identifies.
    """

    source: ListSource
    columns: Mapping[str, str]
    needed: tuple[str, ...]
    numbers: NumberFormat
    day: Callable[[str], date | None] = cells.day
    nik: Callable[[str], str | None] = cells.text
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)

    @property
    def optional(self) -> tuple[str, ...]:
        """Return the columns that a file may lack."""
        return tuple(dict.fromkeys(column for column in self.columns.values() if column not in self.needed))

    def read_row(
        self,
        row: int,
        row_cells: Mapping[str, str],
        resolve_kecamatan: Callable[[str], str | None],
        resolve_village: Callable[[str, str], str | None],
    ) -> Reading:
        """Read one row; `row_cells` has the needed columns and any of the optional ones.

        The resolvers return the code of a kecamatan by its name, and of a village by kecamatan code and name, or
        None. A kecamatan without a code keeps its text and gives a warning; so does a word outside a vocabulary.
        """
        columns = self.columns
        values: dict[str, Any] = {}
        problems: list[RowProblem] = []
        warnings: list[RowProblem] = []

        def cell(name: str) -> str:
            return row_cells.get(columns[name], "") if name in columns else ""

        for name in _TEXTS:
            if words := cells.text(cell(name)):
                values[name] = words
        if nik := self.nik(cell("nik")):
            values["nik"] = nik
        for name, read in (("legal_entity_date", self.day), ("members_total", self.numbers.whole)):
            try:
                value = read(cell(name))
            except BadCell as bad:
                problems.append(RowProblem(row, columns[name], cell(name), str(bad)))
            else:
                if value is not None:
                    values[name] = value
        for column, vocabulary in self.vocabularies.items():
            word = cells.text(row_cells.get(column, ""))
            if word is None:
                continue
            if meaning := vocabulary.get(word.casefold()):
                values.update(meaning)
            else:
                warnings.append(RowProblem(row, column, word, "is not a word of this column's vocabulary"))
        if kecamatan := cells.text(cell("kecamatan_code")):
            if code := resolve_kecamatan(kecamatan):
                values |= {"kecamatan_code": code, "kecamatan_text": None}
                village = cells.text(cell("village_code"))
                if village and (village_code := resolve_village(code, village)):
                    values["village_code"] = village_code
            else:
                values["kecamatan_text"] = kecamatan
                warnings.append(
                    RowProblem(row, columns["kecamatan_code"], kecamatan, "is no kecamatan of this regency")
                )

        number = values.get("legal_entity_number")
        if "name" not in values:
            problems.append(RowProblem(row, columns["name"], None, "the name is missing"))
        if not nik and not number:
            what = "neither a NIK nor a legal entity number says which one it is"
            problems.append(RowProblem(row, columns["nik"], None, what))
        listing: Listing | None = None
        try:
            listing = _LISTING.validate_python(values)
        except ValidationError as invalid:
            for error in invalid.errors(include_url=False, include_context=False):
                column = columns[str(error["loc"][0])]
                what = "is not 13 digits" if column == columns["nik"] else error["msg"].removeprefix("Value error, ")
                problems.append(RowProblem(row, column, row_cells.get(column), what))
        if problems:
            return Reading(row, nik, number, None, problems)
        return Reading(row, nik, number, listing, (), warnings)
