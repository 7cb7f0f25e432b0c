"""The people of a request through HTTP: asked for by themselves, and forgotten for good."""

from uuid import UUID

from fastapi import Response
from fastapi.responses import JSONResponse

from chassis.engine.handling import NothingDecided, Stale
from chassis.http.calls import Body, CallOf
from chassis.http.routing import Routes
from contracts import roles
from services.mentoring.api.loading import existing
from services.mentoring.api.requests import Accepted
from services.mentoring.api.words import NO_STORE, Person, open_people
from services.mentoring.domain import request
from services.mentoring.domain.request import ForgetPeople

routes = Routes()


class PeopleList(Body):
    """Everybody involved in a request."""

    items: list[Person]
    next_cursor: str | None


@routes.get(
    "/v1/requests/{request_id}/people",
    callers=roles.MENTORING,
    response_model=PeopleList,
    summary="Who is involved: personal data",
)
async def get_people(request_id: UUID, call: CallOf, response: Response) -> PeopleList:
    """Return the people of a request; 410 once they were forgotten."""
    found = await existing(request_id, call)
    key = await call.vault.key(request_id)
    response.headers.update(NO_STORE)
    return PeopleList(items=open_people(key, found.asked.people), next_cursor=None)


@routes.delete(
    "/v1/requests/{request_id}/people",
    callers=roles.MENTORING,
    response_model=Accepted,
    summary="Erase the personal data of a request for good",
)
async def forget_people(request_id: UUID, call: CallOf) -> JSONResponse:
    """Make the people and all words of a request unreadable for ever; asked again, it is so already."""
    if first := await call.first_answer():
        return first
    found = await existing(request_id, call)
    if call.expected not in (None, found.version):
        raise Stale(f"The stream is at version {found.version}, not {call.expected}: read it again.")
    await call.accepting()
    # The key first: whoever reads the event may rely on it. A crash in between leaves the event to the next DELETE.
    await call.vault.forget(request_id)
    answer = {"request_id": str(request_id)}
    try:
        return await call.execute(
            request.decider, request_id, ForgetPeople(today=call.today), answer=answer, status=200
        )
    except NothingDecided:
        head = await call.runtime.store.head()
        headers = {"ETag": f'"{found.version}"', "Dinkop-Position": f"{call.runtime.service}:{head}"}
        return JSONResponse({**answer, "version": found.version}, headers=headers)
