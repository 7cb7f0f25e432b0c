"""A handler that is right, or makes one mistake: `python handler.py STATE [MISTAKE]`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import contracts
from contracts.completeness import Manifest, OutOfOrder, Part, filed_under, fingerprint

# Not from the catalogue: that is a second of imports for each of many handlers.
TITLES = {
    f"id.go.malangkab.dinkop.{file.parent.name}.{file.stem}"
    for file in Path(contracts.__file__).parent.glob("schemas/*/*.json")
}


class Handler:
    """Keeps a list of what it took: in order of arrival, as (service, sequence, id, kecamatan, fingerprint)."""

    def __init__(self, state: Path, mistake: str) -> None:
        self.state, self.mistake = state, mistake
        self.taken: list[list[Any]] = []
        if state.exists() and mistake != "forgets":
            self.taken = json.loads(state.read_text("utf-8"))
        self.latest = ""

    def answer(self, asked: dict[str, Any]) -> Any:
        if asked["do"] == "manifest":
            return self.manifest()
        headers, data = asked["headers"], asked["data"]
        service, type_, _ = headers["ce-type"].split(".")[-3:]
        sequence, id_ = int(headers["ce-sequence"]), headers["ce-id"]
        content = json.loads(data)
        match self.mistake:
            case "dies at what it does not know" if headers["ce-type"] not in TITLES:
                raise KeyError(headers["ce-type"])
            case "refuses unknown types" if headers["ce-type"] not in TITLES:
                return {"ack": False}
            case "drops unknown types" if headers["ce-type"] not in TITLES:
                return {"ack": True}
            case "refuses unknown fields" if "of_a_later_version" in content:
                return {"ack": False}
            case "wants one order of time" if headers["ce-time"] < self.latest:
                return {"ack": False}
            case "writes data anew":
                data = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
            case "answers words":
                return "thanks"
            case "says nothing":
                time.sleep(60)
            case "answers something else":
                return {"ok": True}
        self.latest = max(self.latest, headers["ce-time"])
        if any(row[2] == id_ for row in self.taken) and self.mistake != "counts duplicates":
            return {"ack": self.mistake != "refuses duplicates"}
        due = max((row[1] for row in self.taken if row[0] == service), default=0) + 1
        if sequence > due and self.mistake not in ("passes over gaps", "loses one", "drops unknown types"):
            return {"ack": False}
        if self.mistake != "loses one" or sequence != 3:
            kecamatan = filed_under(content.get("kecamatan_code"))
            print_ = fingerprint(sequence, id_, type_, headers["ce-subject"], data.encode())
            self.taken.append([service, sequence, id_, kecamatan, print_])
            self.state.write_text(json.dumps(self.taken), "utf-8")
        return {"ack": True}

    def manifest(self) -> dict[str, Any]:
        if self.mistake == "has no manifest":
            return {"count": len(self.taken)}
        manifest = Manifest()
        for service, sequence, _, kecamatan, print_ in sorted(self.taken):
            try:
                manifest.add(service, kecamatan, sequence, print_)
            except OutOfOrder:
                manifest.parts[Part(service, kecamatan)].count += 1
        return {"items": manifest.items()}


if __name__ == "__main__":
    handler = Handler(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
    for line in sys.stdin:
        print(json.dumps(handler.answer(json.loads(line))), flush=True)
