"""Serving one application until it is told to stop: first not ready, then no new calls, then those under way end."""

import signal
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from chassis.settings import Settings

UNDER_WAY_SECONDS = 5
"""How long calls under way may last when a process stops; later they are cut off, and their callers repeat them."""

KEPT_SECONDS = 75
"""How long a connection is kept without a call. Longer than callers keep theirs (httpx 5 s, proxies and load balancers
60 s), or a call could be sent in the moment in which its connection is closed, and nobody would know what became of it.
"""


class Server(uvicorn.Server):
    """Serves an application; SIGTERM lets it go on for `drain_seconds`, while `/readyz` says that it is stopping.

    Whoever sends calls here, such as a Kubernetes Service, hears of a stop by other ways than the process does, and
    later: until then calls come in, and are answered. Their connections are closed with the answers. The lifespan ends
    last, and with it the lead: until then this process relays and projects, if it does.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        """Serve `app` where the settings say."""
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                loop="uvloop",
                http="httptools",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEPT_SECONDS,
                timeout_graceful_shutdown=UNDER_WAY_SECONDS,
            )
        )
        self._app = app
        self._drain = settings.drain_seconds
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop. A second signal, and Ctrl-C, don't wait."""
        self._app.state.stopping = True
        if sig == signal.SIGTERM and self._drain and self.started and self._until is None:
            self._until = time.monotonic() + self._drain
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Tell, ten times a second, whether to stop serving."""
        if self._until is not None and time.monotonic() > self._until and not self.should_exit:
            super().handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)
