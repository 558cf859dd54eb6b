"""Hangs: stopped by a signal, or without a word and without a heartbeat. Or keeps a processor busy."""

import os
import signal
import subprocess
import sys
import threading
import time

import berth_protocol

BURN = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"


def hang(how):
    if how == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "block":
        # Whoever wants to write waits for ever, the heartbeat too.
        berth_protocol._lock.acquire()
    if how is not None:
        time.sleep(3600)


def handle(session):
    ask = session.parameters
    if "burn_s" in ask:
        subprocess.Popen([sys.executable, "-I", "-S", "-c", BURN, str(ask["burn_s"])])
    if "after_s" in ask:
        threading.Timer(float(ask["after_s"]), hang, [ask.get("how")]).start()
    else:
        hang(ask.get("how"))
    session.text("well")


if __name__ == "__main__":
    berth_protocol.serve(handle)
