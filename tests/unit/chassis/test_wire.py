"""The NATS protocol is read right wherever the network cuts it."""

import pytest
from filling import publications

from chassis.engine.ports import LogReplaced, Replayed
from chassis.messaging import replay
from chassis.messaging.pulling import Incarnation, Interrupted, Pulls, delivered, kind
from chassis.messaging.replay import _Reading, usual
from chassis.messaging.wire import Connection, Control, Frame, WireError, parse, parse_headers

HEADERS = b"NATS/1.0\r\nce-id: 7\r\n\r\n"


def written(place: int, subject: str, headers: dict[str, str], data: bytes) -> bytes:
    """Return a message of the consumer `c` as the server writes it."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    block = f"NATS/1.0\r\n{lines}\r\n".encode()
    first = f"HMSG {subject} 2 $JS.ACK.DINKOP.c.1.{place}.{place}.17.9 {len(block)} {len(block) + len(data)}\r\n"
    return first.encode() + block + data + b"\r\n"


def test_a_message_with_headers_is_read() -> None:
    buffer = b"PING\r\nHMSG a.b 2 reply %d %d\r\n%bdata\r\nrest" % (len(HEADERS), len(HEADERS) + 4, HEADERS)
    assert parse(buffer, 0) == Control(6, b"PING")
    assert parse(buffer, 6) == Frame(len(buffer) - 4, "a.b", "reply", HEADERS, b"data")


def test_a_message_without_headers_or_reply_is_read() -> None:
    assert parse(b"MSG a.b 2 4\r\nda\r\n\r\n", 0) == Frame(19, "a.b", "", b"", b"da\r\n")


def test_an_incomplete_message_is_none_wherever_it_is_cut() -> None:
    buffer = b"HMSG a.b 2 reply %d %d\r\n%bdata\r\n" % (len(HEADERS), len(HEADERS) + 4, HEADERS)
    assert all(parse(buffer[:length], 0) is None for length in range(len(buffer)))


@pytest.mark.parametrize("line", [b"MSG\r\n", b"MSG a\r\n", b"MSG a 1 x\r\n", b"HMSG a 1 2 x\r\n", b"HMSG\r\n"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(WireError):
        parse(line, 0)


@pytest.mark.parametrize(
    ("block", "headers"),
    [
        (b"NATS/1.0\r\na: 1\r\nB:2\r\n\r\n", {"a": "1", "B": "2"}),
        (b"NATS/1.0\r\na: 1\r\na:  x: y \r\n\r\n", {"a": "x: y"}),
        (b"NATS/1.0\r\nno colon\r\nwith space: 1\r\n\xc3\x9f: 1\r\nb: \xc3\x9f\xff\r\n\r\n", {"b": "ß\ufffd"}),
        (b"NATS/1.0 503\r\n\r\n", {"Status": "503", "Description": ""}),
        (
            b"NATS/1.0 409 Consumer Deleted\r\nNats-Pending-Messages: 4\r\n\r\n",
            {"Status": "409", "Description": "Consumer Deleted", "Nats-Pending-Messages": "4"},
        ),
    ],
)
def test_headers_are_read_as_nats_py_reads_them(block: bytes, headers: dict[str, str]) -> None:
    assert parse_headers(block) == headers


def reading(end: int) -> _Reading:
    """Return a reading of the consumer `c` up to `end`."""
    begun = _Reading("DINKOP", frozenset(), 0, "")
    begun.end, begun._usual = end, usual("DINKOP", "c")
    return begun


def decoded(stream: bytes, end: int, cut: int = 0) -> list[Replayed]:
    """Return the events of a stream that comes in two blocks."""
    connection = Connection.__new__(Connection)
    connection.inbox = "inbox"
    begun = reading(end)
    first, rest = begun._decode(stream[:cut], connection)
    assert begun.last == len(first)
    second, rest = begun._decode(rest + stream[cut:], connection)
    assert not rest
    return [*first, *second]


def test_a_block_may_be_cut_anywhere() -> None:
    messages = [written(place, *event) for place, event in enumerate(publications(12), 1)]
    stream = b"".join(messages[:6]) + b"+OK\r\n" + b"".join(messages[6:])
    whole = decoded(stream, 12)
    assert len(whole) == 12
    for cut in range(0, len(stream), 13):
        assert decoded(stream, 12, cut) == whole


def test_usual_events_are_not_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    events = list(publications(400))
    causes = [{"ce-causationid": events[0][1]["ce-id"]}, {"traceparent": "00-1-1-01"}, {"Nats-Batch-Sequence": "7"}, {}]
    stream = b"".join(
        written(place, subject, {**headers, **causes[place % 4]}, data)
        for place, (subject, headers, data) in enumerate(events, 1)
    )
    monkeypatch.setattr(replay, "parse", None)
    assert len(decoded(stream, 400)) == 400


@pytest.mark.parametrize("tail", [b"", b"{}", b"\r\n", b"\r\nPING\r\n", b"\r\n+OK"])
def test_a_body_that_looks_like_messages_is_a_body(tail: bytes) -> None:
    first, second, third = publications(3)
    body = b"{}\r\n" + written(2, *second) + tail
    stream = written(1, *first[:2], body) + written(2, *second) + written(3, *third)
    assert [event[-1] for event in decoded(stream, 3)] == [body, second[-1], third[-1]]


def test_a_missing_message_interrupts_and_passes_over_nothing() -> None:
    events = list(publications(4))
    begun = reading(4)
    with pytest.raises(Interrupted, match="message 2 is missing, 3 came"):
        begun._decode(written(1, *events[0]) + written(3, *events[2]), Connection.__new__(Connection))
    assert (begun.last, begun._delivered) == (0, 0)


def test_the_place_is_read_from_either_form_of_the_reply_subject() -> None:
    assert delivered("$JS.ACK.DINKOP.c.1.70.7.1795381902335969661.5") == (70, 7)
    assert delivered("$JS.ACK.hub.ACCOUNT.DINKOP.c.1.70.7.1795381902335969661.5") == (70, 7)
    assert delivered("$JS.ACK.hub.ACCOUNT.DINKOP.c.1.70.7.1795381902335969661.5.random") == (70, 7)
    with pytest.raises(Interrupted):
        delivered("_INBOX.x")


def test_service_and_type_come_from_the_subject() -> None:
    assert kind("dinkop.v1.rat.RATHeld.350721") == ("rat", "RATHeld")
    assert kind("dinkop.v1") == ("", "")


def test_between_one_and_two_pulls_are_open() -> None:
    pulls = Pulls("DINKOP", "c", 10)
    assert [pulls.taken(taken) for taken in (0, 9, 1, 25)] == [2, 0, 1, 2]


def test_a_pull_that_ends_early_is_asked_anew() -> None:
    pulls = Pulls("DINKOP", "c", 10)
    pulls.taken(0)
    pulls.status({"Status": "100", "Description": "Idle Heartbeat"})
    assert pulls.taken(0) == 0
    pulls.status({"Status": "408", "Description": "Request Timeout", "Nats-Pending-Messages": "10"})
    assert pulls.taken(0) == 1


@pytest.mark.parametrize(("status", "description"), [("409", "Consumer Deleted"), ("503", ""), ("400", "Bad Request")])
def test_a_consumer_that_is_gone_interrupts(status: str, description: str) -> None:
    with pytest.raises(Interrupted, match=status):
        Pulls("DINKOP", "c", 10).status({"Status": status, "Description": description})


def test_a_reader_goes_on_only_in_the_stream_it_read_before() -> None:
    stream = Incarnation("2024-11-14T00:00:00Z", 10)
    stream.check("", 10)
    stream.check("2024-11-14T00:00:00Z", 0)
    with pytest.raises(LogReplaced, match="ends at 10"):
        stream.check("", 11)
    with pytest.raises(LogReplaced, match="made anew"):
        stream.check("2023-11-14T00:00:00Z", 0)
