"""Logs are written where they can be; where they can't, the work goes on."""

import errno
import io
import logging

import structlog

from chassis.telemetry import logs


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_work_goes_on_where_a_line_cannot_be_written() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure("registry", output=Full())
        structlog.get_logger().warning("appended")
        logging.getLogger("uvicorn").error("asked")
        output = io.StringIO()
        logs.configure("registry", output=output)
        structlog.get_logger().warning("appended")
        assert '"event": "appended"' in output.getvalue()
    finally:
        root.handlers[:], root.level = before
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
