"""Says its first heartbeat only after SLOW_START_SECONDS (3 by default)."""

import os
import time

import berth_protocol


def handle(session):
    session.text("hello")


if __name__ == "__main__":
    time.sleep(float(os.environ.get("SLOW_START_SECONDS", "3")))
    berth_protocol.serve(handle)
