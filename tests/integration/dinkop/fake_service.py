"""A fake service as a program, to answer everything with the environment it was given.

What it does wrong is told by the variable FAKE: `dies`, `stubborn` (ignores SIGTERM).
"""

import http.server
import json
import os
import signal
import sys


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers everything with the service's environment."""

    def do_GET(self) -> None:
        """Answer."""
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    fault = os.environ.get("FAKE")
    if fault == "dies":
        sys.exit("no settings")
    if fault == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    address = (os.environ["DINKOP_HOST"], int(os.environ["DINKOP_PORT"]))
    http.server.ThreadingHTTPServer(address, Answer).serve_forever()
