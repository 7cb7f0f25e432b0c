"""Telling a failure from a cancellation that a library turned into one."""

import asyncio


def heed_cancellation(failed: Exception) -> None:
    """Raise CancelledError when the present task was cancelled, though what it caught is another exception.

    A connection that breaks while a cancelled task lets go of it raises its own error in the place of CancelledError
    (so does SQLAlchemy's). Who then waits a little and tries again, as background work does, would do so for ever, and
    whoever cancelled it would wait for ever. Not for a task that has itself run a TaskGroup: one that failed leaves
    its task counted as cancelled, until Python 3.13.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError from failed
