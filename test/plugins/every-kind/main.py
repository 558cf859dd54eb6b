"""Every operation of every kind: the request's context says what is answered, or that the request itself is told."""

import base64
import json
import os
import time

import berth_protocol

PIECE_BYTES = 8192


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
    if "file_bytes" in ask:
        send_file(session, ask["file_bytes"])
    if "exit_code" in ask:
        time.sleep(0.05)  # what is written is on its way
        os._exit(ask["exit_code"])


def send_file(session, size):
    """In the largest pieces that there are; the last one has bytes as well."""
    for start in range(0, size, PIECE_BYTES):
        blob = base64.b64encode(b"f" * min(PIECE_BYTES, size - start)).decode()
        piece = {"id": "f", "sequence": start // PIECE_BYTES, "total_length": size, "blob": blob}
        piece["end"] = start + PIECE_BYTES >= size
        session.send("stream", {"type": "blob_chunk", "message": piece, "meta": None})


if __name__ == "__main__":
    berth_protocol.serve(handle)
