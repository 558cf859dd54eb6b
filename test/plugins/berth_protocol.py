"""Speaks the plugin protocol with the standard library alone, so that installing this package needs no network.

Linked into each test package that needs it; packing reads through the link, so packages are self-contained.
"""

import json
import os
import sys
import threading
import time

_lock = threading.Lock()


def write(message):
    """One message and its newline, never torn by another thread."""
    write_bytes(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


def write_text(text):
    write_bytes(text.encode())


def write_bytes(data):
    with _lock:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


class Session:
    """One request of the host; `parameters` are the tool's, `data` is what is asked, `line` is all that came."""

    def __init__(self, line):
        self.line = line
        self.id = line["session_id"]
        self.data = line["data"]
        self.parameters = self.data.get("tool_parameters") or {}

    def send(self, kind, data):
        inner = {"type": kind, "data": data}
        write({"event": "session", "session_id": self.id, "data": inner})

    def text(self, text):
        self.send("stream", {"type": "text", "message": {"text": text}, "meta": None})

    def json(self, value):
        self.send("stream", {"type": "json", "message": {"json_object": value}, "meta": None})

    def error(self, error):
        self.send("error", {"error_type": type(error).__name__, "message": str(error), "args": {}})

    def end(self):
        self.send("end", {})


def serve(handle, heartbeat_s=1.0):
    """Says the manifest and the first heartbeat, then runs `handle(session)` in a thread per request, for ever."""
    write({"version": "0.0.1", "type": "plugin", "plugins": {}})
    threading.Thread(target=_beat, args=(heartbeat_s,), daemon=True).start()
    for raw in sys.stdin.buffer:
        if not raw.strip():
            continue
        try:
            line = json.loads(raw)
            if line["event"] != "request":
                continue
            session = Session(line)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            write({"event": "error", "session_id": None, "data": {"error": f"bad line: {error}"}})
            continue
        threading.Thread(target=_run, args=(handle, session), daemon=True).start()


def _run(handle, session):
    try:
        handle(session)
    except Exception as error:  # whatever a tool throws is an answer
        session.error(error)
    session.end()


def _beat(period_s):
    while True:
        write({"event": "heartbeat", "session_id": None, "data": {}})
        time.sleep(period_s)
