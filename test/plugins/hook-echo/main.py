"""Answers requests to its endpoint as their path asks for; as a trigger, every request means its event."""

import json
import os
import time
from urllib.parse import parse_qs, urlsplit

import berth_protocol

VERSION = "0.0.1"


def handle(session):
    action = session.data.get("action")
    if action == "invoke_tool":
        session.text(VERSION)
    elif action == "dispatch_trigger_event":
        dispatch(session)
    else:
        raw = bytes.fromhex(session.data["raw_http_request"])
        target = urlsplit(raw.split(b" ", 2)[1].decode("latin1"))
        ask = {key: values[0] for key, values in parse_qs(target.query).items()}
        answer = ANSWERS.get(target.path)
        if answer is None:
            say(session, status=404)
        else:
            answer(session, ask, raw)


def dispatch(session):
    raw = bytes.fromhex(session.data["raw_http_request"])
    body = raw.split(b"\r\n\r\n", 1)[1]
    response = b"HTTP/1.1 202 Accepted\r\nX-Seen: %d\r\nContent-Length: %d\r\n\r\n%s" % (len(raw), len(body), body)
    session.send("stream", {"user_id": "u", "events": ["asked"], "response": response.hex(), "payload": {"raw": raw.hex()}})


def say(session, status=None, headers=None, body=None):
    piece = {"status": status, "headers": headers, "result": None if body is None else body.hex()}
    session.send("stream", {key: value for key, value in piece.items() if value is not None})


def echo(session, _ask, raw):
    say(session, 200, {"Content-Type": "application/octet-stream"}, raw)


def size(session, _ask, raw):
    say(session, 200, {"Content-Type": "text/plain"}, b"%d" % len(raw))


def settings(session, _ask, _raw):
    about = {"settings": session.data["settings"], "endpoint_id": session.line.get("endpoint_id"), "version": VERSION}
    say(session, 201, {"Content-Type": "application/json"}, json.dumps(about).encode())


def stream(session, ask, _raw):
    """`n` pieces of `bytes` each, numbered, with a pause before each where one is asked for."""
    say(session, 200, {"Content-Type": "text/plain"})
    for number in range(int(ask.get("n", 10))):
        if "delay_ms" in ask:
            time.sleep(int(ask["delay_ms"]) / 1000)
        say(session, body=f"{number};".encode().ljust(int(ask.get("bytes", 0)), b"."))


def version(session, _ask, _raw):
    say(session, 200, {"Content-Type": "text/plain"}, f"aye {VERSION}".encode())


def short(session, _ask, _raw):
    say(session, 200, {"Content-Length": "100"}, b"short")


def die(_session, _ask, _raw):
    os._exit(3)


def die_late(session, _ask, _raw):
    say(session, 200, {}, b"last words")
    time.sleep(0.3)  # what was said is on its way
    os._exit(3)


def fail(_session, _ask, _raw):
    raise ValueError("no such luck")


ANSWERS = {
    "/echo": echo,
    "/size": size,
    "/settings": settings,
    "/stream": stream,
    "/version": version,
    "/short": short,
    "/die": die,
    "/die-late": die_late,
    "/fail": fail,
}

if __name__ == "__main__":
    berth_protocol.serve(handle)
