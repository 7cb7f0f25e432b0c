"""What became of events is said in one line, with the requests behind it, unless those are many."""

from structlog.testing import capture_logs

from chassis.telemetry.logs import FEW, followed


def test_a_line_names_each_request_once_however_many_events_it_made() -> None:
    with capture_logs() as lines:
        followed("events.published", ["a", "b", "a", "a"] * 500, first=1, last=2_000)
    assert lines == [
        {"event": "events.published", "log_level": "info", "correlation_ids": ["a", "b"], "first": 1, "last": 2_000}
    ]


def test_what_nobody_asked_for_is_said_without_a_request() -> None:
    with capture_logs() as lines:
        followed("events.published", ["", "a"], first=1, last=2)
    assert lines[0]["correlation_ids"] == ["a"]


def test_many_requests_are_a_line_for_who_debugs_without_any_of_them() -> None:
    with capture_logs() as lines:
        followed("events.published", map(str, range(FEW + 1)), first=1, last=9)
    assert lines == [{"event": "events.published", "log_level": "debug", "first": 1, "last": 9}]
