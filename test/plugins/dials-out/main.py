"""Connects to the debug port that the environment names, as the SDK does: declares one tool, and answers its calls."""

import base64
import json
import os
import socket
import subprocess
import threading
import time

from answer import ANSWER

FOLDER = os.path.dirname(os.path.abspath(__file__))
TEXT = {"en_US": "says what answer.py says"}
IDENTITY = {"author": "berth-tests", "name": "dials-out", "label": TEXT, "description": TEXT, "icon": "icon.svg"}
PARAMETER = {
    "name": "error",
    "type": "string",
    "required": False,
    "form": "llm",
    "label": TEXT,
    "human_description": TEXT,
    "llm_description": "a message to fail with",
}
TOOL = {
    "identity": {"author": "berth-tests", "name": "say", "label": TEXT},
    "description": {"human": TEXT, "llm": "says"},
    "parameters": [PARAMETER],
}
MANIFEST = {
    "version": "0.0.1",
    "type": "plugin",
    "author": "berth-tests",
    "name": "dials-out",
    "label": TEXT,
    "description": TEXT,
    "icon": "icon.svg",
    "created_at": "2026-12-01T00:00:00Z",
    "resource": {"memory": 67108864, "permission": {}},
    "plugins": {"tools": ["provider/dials-out.yaml"]},
    "meta": {
        "version": "0.0.1",
        "arch": ["amd64", "arm64"],
        "runner": {"language": "python", "version": "3.12", "entrypoint": "main"},
    },
}

host, port = os.environ["REMOTE_INSTALL_URL"].split(":")
link = socket.create_connection((host, int(port)))
writing = threading.Lock()


def send(message: dict) -> None:
    with writing:
        link.sendall(json.dumps(message).encode() + b"\n\n")


def beat() -> None:
    while True:
        time.sleep(10)
        send({"event": "heartbeat", "session_id": None, "data": {}})


def say(session_id: str, kind: str, data: dict) -> None:
    send({"event": "session", "session_id": session_id, "data": {"type": kind, "data": data}})


def answer(session_id: str, parameters: dict) -> None:
    if parameters.get("error"):
        trace = {"traceback": "Traceback (most recent call last): ..."}
        say(session_id, "error", {"error_type": "ValueError", "message": parameters["error"], "args": trace})
    else:
        say(session_id, "stream", {"type": "text", "message": {"text": ANSWER}})
    say(session_id, "end", {})


# Whoever ends this process must end its children, too.
child = subprocess.Popen(["sleep", "600"])
print(f"processes {os.getpid()} {child.pid}", flush=True)
send({"type": "handshake", "data": {"key": os.environ["REMOTE_INSTALL_KEY"]}})
send({"type": "manifest_declaration", "data": MANIFEST})
send({"type": "tool_declaration", "data": [{"identity": IDENTITY, "credentials_schema": [], "tools": [TOOL]}]})
with open(os.path.join(FOLDER, "_assets/icon.svg"), "rb") as icon:
    data = base64.b64encode(icon.read()).decode()
send({"type": "asset_chunk", "data": {"filename": "icon.svg", "data": data, "end": True}})
send({"type": "end", "data": {}})
threading.Thread(target=beat, daemon=True).start()
for line in link.makefile("rb"):
    if line.strip():
        request = json.loads(line)
        answer(request["session_id"], request["data"].get("tool_parameters", {}))
