"""Sends part of an answer, then its process ends: by exit, by signal, or by taking memory until it is killed."""

import os
import time

import berth_protocol


def handle(session):
    ask = session.parameters
    for _ in range(int(ask.get("messages", 1))):
        session.text("part")
    if ask.get("finish"):
        session.end()
    if "signal" in ask:
        os.kill(os.getpid(), int(ask["signal"]))
        # The signal may reach another thread a moment later: the session must not end well meanwhile.
        time.sleep(3600)
    hoard = []
    for _ in range(int(ask.get("allocate_mb", 0))):
        hoard.append(bytearray(b"x") * 1_048_576)
    if hoard:
        session.text("all of it was granted")
        return
    os._exit(int(ask.get("exit_code", 3)))


if __name__ == "__main__":
    berth_protocol.serve(handle)
