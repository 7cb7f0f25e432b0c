"""Structured logs: one JSON object a line, with the correlation id of the request or event behind it.

A line that can't be written, for the disk is full or gone, is dropped: no command fails for want of a line about it.
"""

import json
import logging
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

import structlog

log = structlog.get_logger()

_encoder = json.JSONEncoder(default=repr)  # made once: json.dumps with a default makes one for every line
FEW = 8
"""Requests that one line may name."""


def followed(event: str, correlation_ids: Iterable[str], **told: Any) -> None:
    """Say in one line what became of some events, with the correlation ids of the requests behind them.

    Where there are many requests, as when a read model catches up, it is said to who debugs only, and without them:
    by their positions each still can be found.
    """
    named: dict[str, None] = {}
    for id_ in correlation_ids:
        named[id_] = None
        if len(named) > FEW:
            log.debug(event, **told)
            return
    log.info(event, correlation_ids=list(filter(None, named)), **told)


def _as_json(line: dict[str, Any], **_: Any) -> str:
    return _encoder.encode(line)


class _Forgiving:
    """Writes to an output what it takes."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, text: str) -> int:
        try:
            return self._output.write(text)
        except OSError:
            return 0

    def flush(self) -> None:
        try:
            self._output.flush()
        except OSError:
            pass


def configure(service: str, level: str = "info", output: TextIO = sys.stdout) -> None:
    """Send structlog and the standard library's logging to standard output, or another, as JSON."""
    forgiving = cast(TextIO, _Forgiving(output))
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(_as_json)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(forgiving),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(forgiving)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(_as_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak up when something is wrong; their running commentary is not ours.
    root.setLevel(max(threshold, logging.WARNING))
