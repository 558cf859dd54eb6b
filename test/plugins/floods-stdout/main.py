"""Floods its log, then answers: neither the flood nor its limit may hold the answer up."""

import os

import berth_protocol

LINE = b"a line of noise that means nothing to anybody, " * 20 + b"\n"


def handle(session):
    ask = session.parameters
    fd = 2 if ask.get("stderr") else 1
    block = LINE * 60
    for _ in range(int(ask.get("megabytes", 64)) * 1_048_576 // len(block)):
        if fd == 1:
            berth_protocol.write_bytes(block)
        else:
            os.write(2, block)
    session.text("done")


if __name__ == "__main__":
    berth_protocol.serve(handle)
