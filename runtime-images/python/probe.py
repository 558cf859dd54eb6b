"""Tries to exceed every limit of its Container and prints what happened, one JSON object a line.

It is mounted where the runner of a plugin would be, and needs the standard library alone. What an answer means is for
`src/runtime/doctor/judge.ts` to say; the last check may kill this process, so that each line is written at once.
"""

import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import signal
import socket
import sys
import time

PAGE = 4096
MIB = 1 << 20
# Numbers of the system call keyctl, which the Engine's seccomp profile forbids and any user may make without it.
KEYCTL = {"x86_64": 250, "aarch64": 219}
STAT_FILES = ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat")
# Parts of the image that a plugin must not change, and places that are writable for everybody otherwise.
ROOT_FOLDERS = ("/", "/etc", "/usr/local/bin", "/var/tmp", "/run", "/run/berth", "/opt", "/home")


def say(check, **found):
    sys.stdout.write(json.dumps({"check": check, **found}) + "\n")
    sys.stdout.flush()


def child(work):
    """Forks; `work` runs in the child, which never returns."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def identity():
    with open("/proc/self/status") as lines:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
    say("user", uid=os.getuid(), gid=os.getgid())
    sets = {name: status.get(name, "").strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    say("capabilities", held=any(int(bits or "0", 16) != 0 for bits in sets.values()), sets=sets)
    say("privileges", noNewPrivileges=status.get("NoNewPrivs", "").strip() == "1")
    say("seccomp", mode=int(status.get("Seccomp", "0")), forbidden=forbidden_call())


def forbidden_call():
    """True: refused; False: the kernel executed it; None: unknown on this processor."""
    number = KEYCTL.get(platform.machine())
    if number is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    # KEYCTL_GET_KEYRING_ID of this process's keyring, which is made if it does not exist.
    if libc.syscall(number, 0, -2, 1) >= 0:
        return False
    return ctypes.get_errno() in (errno.EPERM, errno.ENOSYS)


def root():
    written = []
    for folder in ROOT_FOLDERS:
        path = os.path.join(folder, ".berth-probe")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            os.unlink(path)
            written.append(folder)
        except OSError:
            pass
    say("root", readOnly=bool(os.statvfs("/").f_flag & os.ST_RDONLY), written=written)


def scratch(expected):
    """How many bytes and files /tmp takes; tries a little more than the limit and stops there."""
    path, block, written = "/tmp/.berth-probe", b"x" * (256 * 1024), 0
    try:
        with open(path, "wb", buffering=0) as file:
            while written <= expected["bytes"] * 2:
                written += file.write(block)
    except OSError:
        pass
    os.unlink(path)
    files = 0
    try:
        while files <= expected["inodes"] * 2:
            os.close(os.open(f"{path}{files}", os.O_CREAT | os.O_WRONLY, 0o600))
            files += 1
    except OSError:
        pass
    for number in range(files):
        os.unlink(f"{path}{number}")
    say("tmp", bytes=written, files=files)


def open_files(limit):
    held = []
    try:
        while len(held) <= limit + 64:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for number in held:
        os.close(number)
    # Standard input, output and errors are open already.
    say("openFiles", opened=len(held) + 3)


def processes(limit):
    made = []
    try:
        while len(made) <= limit * 2:
            made.append(child(signal.pause))
    except OSError:
        pass
    for pid in made:
        os.kill(pid, signal.SIGKILL)
    for pid in made:
        os.waitpid(pid, 0)
    say("pids", started=len(made))


def throttled():
    for path in STAT_FILES:
        try:
            with open(path) as lines:
                return int(dict(line.split() for line in lines).get("nr_throttled", 0))
        except (OSError, ValueError):
            continue
    return None


def cpu(seconds):
    def burn():
        while True:
            pass

    before, started = throttled(), time.monotonic()
    spent = used()
    pids = [child(burn) for _ in range(2)]
    time.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    after = throttled()
    times = None if before is None or after is None else after - before
    say("cpu", usedSeconds=used() - spent, seconds=time.monotonic() - started, throttled=times)


def used():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def network(targets):
    gateway = default_gateway()
    reached = []
    for target in targets:
        host = gateway if target["host"] == "gateway" else target["host"]
        if host is None:
            continue
        try:
            socket.create_connection((host, target["port"]), timeout=target["seconds"]).close()
            reached.append({"host": host, "port": target["port"], "what": target["what"]})
        except OSError:
            pass
    say("network", gateway=gateway, reached=reached)


def default_gateway():
    try:
        with open("/proc/net/route") as lines:
            rows = [line.split() for line in lines][1:]
    except OSError:
        return None
    for row in rows:
        if row[1] == "00000000":
            return socket.inet_ntoa(int(row[2], 16).to_bytes(4, "little"))
    return None


def memory(limit):
    """A child takes up to twice the limit, piece by piece, and writes each page; it reports through a pipe."""
    reader, writer = os.pipe()

    def grow():
        held = []
        while len(held) * MIB < limit * 2:
            piece = mmap.mmap(-1, MIB)
            for at in range(0, MIB, PAGE):
                piece[at] = 1
            held.append(piece)
            os.write(writer, b"x")

    pid = child(grow)
    os.close(writer)
    taken = 0
    while chunk := os.read(reader, 4096):
        taken += len(chunk) * MIB
    _, status = os.waitpid(pid, 0)
    say("memory", bytes=taken, killed=os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)


def main():
    expected = json.loads(sys.argv[1])
    # Ends this Container in any case.
    signal.alarm(expected["secondsMax"])
    identity()
    root()
    scratch(expected["tmp"])
    open_files(expected["openFilesMax"])
    processes(expected["pidsMax"])
    cpu(expected["cpuSeconds"])
    network(expected["targets"])
    memory(expected["memoryBytes"])


main()
