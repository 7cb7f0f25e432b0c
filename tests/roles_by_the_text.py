"""Who may call which route, written down from section 8 of the interface and not from the code.

`officer` (registry, rat, mentoring, reports), `mentor` (mentoring), `head` (what an officer may; and alone: removal
proposals, issuing reports), `camat` (reads, acknowledges and follows up one kecamatan; never people), `agency`
(public reads), `operator` (projections, parked events, reconcile; no personal data). What is public, whoever works with
any of it may read too.
"""

OFFICE = "officer head"
MENTORS = "officer mentor head"
PUBLIC = "officer mentor head camat agency"
KECAMATAN = "officer head camat"
HEAD = "head"
OPERATOR = "operator"
ANY_TOKEN = "officer mentor head camat agency operator"
NO_TOKEN = ""

EVERY_SERVICE = {
    "GET /livez": NO_TOKEN,
    "GET /readyz": NO_TOKEN,
    "GET /metrics": ANY_TOKEN,
    "GET /v1/projections": OPERATOR,
    "GET /v1/operations/projections": OPERATOR,
    "GET /v1/operations/projections/{name}": OPERATOR,
    "POST /v1/operations/projections/{name}/pause": OPERATOR,
    "POST /v1/operations/projections/{name}/resume": OPERATOR,
    "POST /v1/operations/projections/{name}/rollback": OPERATOR,
    "POST /v1/operations/projections/{name}/retire": OPERATOR,
    "GET /v1/operations/rebuilds": OPERATOR,
    "POST /v1/operations/rebuilds": OPERATOR,
    "GET /v1/operations/rebuilds/{rebuild_id}": OPERATOR,
    "GET /v1/operations/parked": OPERATOR,
    "GET /v1/operations/parked/{id}": OPERATOR,
    "POST /v1/operations/parked/{id}/retry": OPERATOR,
    "POST /v1/operations/parked/{id}/discard": OPERATOR,
    "GET /v1/operations/discarded": OPERATOR,
}
ROUTES = {
    "registry": {
        "POST /v1/cooperatives": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/corrections": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/relocations": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/tracings": OFFICE,
        "GET /v1/cooperatives/{cooperative_id}/tracings": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/removal-proposals": HEAD,
        "POST /v1/cooperatives/{cooperative_id}/removal-decisions": OFFICE,
        "DELETE /v1/cooperatives/{cooperative_id}": OFFICE,
        "GET /v1/cooperatives/{cooperative_id}": PUBLIC,
        "GET /v1/cooperatives/{cooperative_id}/history": PUBLIC,
        "GET /v1/cooperatives": PUBLIC,
        "POST /v1/imports": OFFICE,
        "GET /v1/imports/{key}": OFFICE,
    },
    "rat": {
        "POST /v1/cooperatives/{cooperative_id}/rats": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/rats/{book_year}/verifications": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/rats/{book_year}/corrections": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/rats/{book_year}/annulments": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/rat-plans": OFFICE,
        "POST /v1/cooperatives/{cooperative_id}/warnings": OFFICE,
        "GET /v1/cooperatives/{cooperative_id}/rats": PUBLIC,
        "GET /v1/cooperatives/{cooperative_id}/history": PUBLIC,
        "GET /v1/rat-plans": PUBLIC,
        "POST /v1/imports": OFFICE,
        "GET /v1/imports/{key}": OFFICE,
    },
    "mentoring": {
        "POST /v1/requests": MENTORS,
        "POST /v1/requests/{request_id}/acceptances": MENTORS,
        "POST /v1/requests/{request_id}/declines": MENTORS,
        "POST /v1/requests/{request_id}/redirections": MENTORS,
        "POST /v1/requests/{request_id}/activities": MENTORS,
        "POST /v1/requests/{request_id}/completions": MENTORS,
        "GET /v1/requests/{request_id}": PUBLIC,
        "GET /v1/requests/{request_id}/history": PUBLIC,
        "GET /v1/requests": PUBLIC,
        "GET /v1/requests/{request_id}/people": MENTORS,
        "DELETE /v1/requests/{request_id}/people": MENTORS,
        "GET /v1/calendar": MENTORS,
    },
    "reporting": {
        "GET /v1/health": PUBLIC,
        "GET /v1/health/{cooperative_id}": PUBLIC,
        "GET /v1/kecamatan": PUBLIC,
        "GET /v1/kecamatan/{kecamatan_code}": PUBLIC,
        "GET /v1/cooperatives/{cooperative_id}/timeline": PUBLIC,
        "GET /v1/camat-reports": PUBLIC,
        "GET /v1/camat-reports/{report}": PUBLIC,
        "GET /v1/camat-reports/{report_id}/changes": PUBLIC,
        "GET /v1/camat-reports/{report_id}/history": KECAMATAN,
        "POST /v1/camat-reports": HEAD,
        "POST /v1/camat-reports/{report_id}/acknowledgements": KECAMATAN,
        "POST /v1/camat-reports/{report_id}/follow-ups": KECAMATAN,
        "GET /v1/policies": PUBLIC,
    },
}
EVERY_ROLE = ANY_TOKEN.split()
EXPECTED: dict[str, dict[str, frozenset[str]]] = {
    service: {route: frozenset(callers.split()) for route, callers in {**EVERY_SERVICE, **routes}.items()}
    for service, routes in ROUTES.items()
}
"""The roles that may call a route, by service and by method and path."""
