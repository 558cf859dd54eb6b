"""Attacks that use up what the machine has: memory, processes, processors, files, pipes, disk, the log."""

import ctypes
import errno
import fcntl
import os
import re
import signal
import subprocess
import threading
import time

import berth_protocol

MB = 1_048_576
LINE = b"a line of noise that means nothing to anybody, " * 20 + b"\n"

libc = ctypes.CDLL(None, use_errno=True)
held = []


def leak(session):
    """Takes so many megabytes a second until it is killed."""
    rate = int(session.parameters["megabytes_per_second"])
    while True:
        held.append(bytearray(b"x") * (rate * MB // 10))
        time.sleep(0.1)


def fork_bomb(session):
    """Each child forks for ever, also when the kernel has begun to refuse it; all are killed after so many seconds."""
    refused, refuse = os.pipe()
    bomb = os.fork()
    if bomb == 0:
        os.setpgid(0, 0)
        while True:
            try:
                os.fork()
            except OSError:
                os.write(refuse, b"!")
                break
        while True:
            pass
    os.read(refused, 1)
    time.sleep(float(session.parameters["seconds"]))
    os.killpg(bomb, signal.SIGKILL)
    os.waitpid(bomb, 0)
    session.text("a fork was refused")


def thread_bomb(session):
    """Starts threads until the kernel refuses one, holds them for so many seconds, and lets them end."""
    release = threading.Event()
    held = []
    try:
        while True:
            thread = threading.Thread(target=release.wait, daemon=True)
            thread.start()
            held.append(thread)
    except RuntimeError:
        time.sleep(float(session.parameters["seconds"]))
        release.set()
        for thread in held:
            thread.join()
        session.text("a thread was refused")


def busy_loop(_session):
    while True:
        pass


def hang(_session):
    """Keeps the interpreter's lock for ever: no other thread runs, none beats."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def stop_self(_session):
    os.kill(os.getpid(), signal.SIGSTOP)
    wait_for_the_end()


def stop_parent(_session):
    os.kill(os.getppid(), signal.SIGSTOP)
    wait_for_the_end()


def wait_for_the_end():
    """A signal may take effect a moment after it was sent; the session must not end by itself meanwhile."""
    threading.Event().wait()


def kill_parent(_session):
    os.kill(os.getppid(), signal.SIGKILL)


def open_files(session):
    """Holds every file descriptor that it may have."""
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        session.text(errno.errorcode[error.errno])


def kernel_budgets(session):
    """Holds all inotify instances and pipe pages that its user may have; answers how many of each it got."""
    watches = 0
    while libc.inotify_init1(0) >= 0:
        watches += 1
    pipes = 0
    try:
        while pipes < 256:
            held.append(os.pipe())
            fcntl.fcntl(held[-1][1], 1031, MB)  # F_SETPIPE_SZ
            pipes += 1
    except OSError:
        pass
    session.json({"watches": watches, "pipes": pipes})


def scratch_bytes(session):
    """Fills its scratch disk; answers how many megabytes it took."""
    taken = 0
    with open("/tmp/fill", "wb", buffering=0) as file:
        try:
            while True:
                taken += file.write(b"x" * MB)
        except OSError as error:
            session.json({"taken": taken, "error": errno.errorcode[error.errno]})


def scratch_files(session):
    """Makes empty files until there can be no more."""
    made = 0
    try:
        while True:
            os.close(os.open(f"/tmp/{made}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        session.json({"made": made, "error": errno.errorcode[error.errno]})


def ignore_term(session):
    libc.signal(signal.SIGTERM, ctypes.c_void_p(1))  # SIG_IGN, from a thread
    session.text("deaf")


def grandchildren(session):
    """Each in a session of its own, orphaned, and with the plugin's own stdout and stderr."""
    count = int(session.parameters["count"])
    for _ in range(count):
        subprocess.run(["sh", "-c", "trap '' TERM; sleep 86400 &"], start_new_session=True, check=True)
    session.text(str(count))


def stderr_flood(session):
    block = LINE * 60
    for _ in range(int(session.parameters["megabytes"]) * MB // len(block)):
        os.write(2, block)
    session.text("done")


def junk_flood(session):
    """Random bytes on stdout, newlines and halves of frames among them."""
    block = b"".join(os.urandom(4096) + b'{"event":"session","session_id":' for _ in range(16)) + b"\n"
    for _ in range(int(session.parameters["megabytes"]) * MB // len(block)):
        berth_protocol.write_bytes(block)
    session.text("done")


ATTACKS = {
    attack.__name__: attack
    for attack in (
        *(leak, fork_bomb, thread_bomb, busy_loop, hang, stop_self, stop_parent, kill_parent, open_files),
        *(kernel_budgets, scratch_bytes, scratch_files, ignore_term, grandchildren, stderr_flood, junk_flood),
    )
}
