"""The policies that verdicts go by."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field

from chassis.definitions.decider import Invalid
from chassis.http.admission import Within
from chassis.http.calls import CallOf, Cursor, Limit, cursor_after
from chassis.http.routing import Routes
from contracts import roles
from services.reporting.domain.policy import MonthDay, Policy
from services.reporting.projections.health_status import projection
from services.reporting.tables import policies

routes = Routes()

type Day = Annotated[str, Field(pattern=r"^\d\d-\d\d$", description="MM-DD in the year after the book year")]


class PolicyItem(BaseModel):
    """One policy, and the days on which it is asked."""

    name: str = Field(description="As answers and events stamp it")
    valid_from: date | None = Field(description="First day; null is open")
    valid_to: date | None = Field(description="Last day; null is open")
    window: int = Field(description="How many book years count")
    due: Day
    primary_deadline: Day
    secondary_deadline: Day
    attested_from: Day


class PolicyList(BaseModel):
    """One page of policies, by their periods."""

    items: list[PolicyItem]
    next_cursor: str | None


@routes.get(
    "/v1/policies",
    callers=roles.READERS,
    within=Within.UNPLACED,
    response_model=PolicyList,
    summary="The policies verdicts go by",
)
async def find(call: CallOf, cursor: Cursor, limit: Limit = 100) -> PolicyList:
    """Return the policies in the order of their periods, which never overlap. Raises Invalid for a foreign cursor."""
    known = await policies.policies(call.runtime.read_models, projection)
    names = [policy.name for policy in known]
    if cursor is not None and cursor not in names:
        raise Invalid("cursor", "take it from next_cursor of the page before")
    start = names.index(cursor) + 1 if cursor else 0
    page = known[start : start + limit]
    more = start + limit < len(known)
    return PolicyList(
        items=[_item(policy) for policy in page], next_cursor=cursor_after(page[-1].name) if more else None
    )


def _item(policy: Policy) -> PolicyItem:
    return PolicyItem(
        name=policy.name,
        valid_from=policy.valid_from,
        valid_to=policy.valid_to,
        window=policy.window,
        due=_written(policy.due),
        primary_deadline=_written(policy.primary_deadline),
        secondary_deadline=_written(policy.secondary_deadline),
        attested_from=_written(policy.attested_from),
    )


def _written(day: MonthDay) -> str:
    return f"{day[0]:02}-{day[1]:02}"
