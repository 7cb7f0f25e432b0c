"""Warning letters over HTTP."""

from uuid import UUID

from fastapi.responses import JSONResponse
from pydantic import Field

from chassis.definitions.values import Date, ShortText, Year
from chassis.http.calls import AtLeast, Body, CallOf
from chassis.http.routing import Routes
from contracts import roles
from services.rat.api.commands import Accepted, execute
from services.rat.domain.annual_meetings import IssueWarning, WarningLevel

routes = Routes()


class Letter(Body):
    """A letter that warned a cooperative of a missing meeting (surat peringatan)."""

    book_year: Year = Field(examples=[2023])
    level: WarningLevel = Field(description="in order: 1, then 2, then 3", examples=[1])
    letter_number: ShortText = Field(examples=["518/902/35.07.110/2024"])
    letter_date: Date = Field(examples=["2024-07-08"])


@routes.post(
    "/v1/cooperatives/{cooperative_id}/warnings",
    callers=roles.OFFICE,
    response_model=Accepted,
    summary="Note a warning letter",
)
async def warn(cooperative_id: UUID, body: Letter, call: CallOf, at_least: AtLeast) -> JSONResponse:
    """Note a letter: one a level, in order, for a book year whose meeting the office did not know of by then."""

    def command(kecamatan_code: str | None) -> IssueWarning:
        return IssueWarning(
            kecamatan_code=kecamatan_code,
            today=call.today,
            book_year=body.book_year,
            level=body.level,
            letter_number=body.letter_number,
            letter_date=body.letter_date,
        )

    return await execute(call, at_least, cooperative_id, body.book_year, command)
