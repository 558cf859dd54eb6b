"""Takes SIGTERM and goes on; it has a child that does the same."""

import os
import signal
import time

import berth_protocol


def handle(session):
    session.text("still here")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        while True:
            time.sleep(3600)
    berth_protocol.serve(handle)
