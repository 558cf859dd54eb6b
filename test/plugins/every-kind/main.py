"""Every operation of every kind: the request's context says what is answered, or that the request itself is told."""

import json
import os
import time

import berth_protocol


class Seen(Exception):
    """The request as it came, in the message of an error: an answer of any kind has room for it."""


def handle(session):
    ask = session.line.get("context") or {}
    if ask.get("show"):
        session.line.pop("session_id")
        raise Seen(json.dumps(session.line))
    for chunk in ask.get("answer", []):
        session.send("stream", chunk)
    for number in range(ask.get("count", 0)):
        session.text(f"{number} " + "x" * ask.get("padding", 0))
    if "exit_code" in ask:
        time.sleep(0.05)  # what is written is on its way
        os._exit(ask["exit_code"])


if __name__ == "__main__":
    berth_protocol.serve(handle)
