"""What a plugin sees from inside: who it is, what it may do, whom it reaches, and which planted secrets it can read."""

import os
import socket
import stat
import subprocess

# Not written out: the text must not be found in this package's own files.
MARKER = bytes.fromhex("506c616e746564536563726574")
CHUNK = 1_048_576
NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def status():
    lines = read("/proc/self/status").decode().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def identity(session):
    said = status()
    session.json(
        {
            "users": sorted({int(user) for user in said["Uid"].split()}),
            "groups": sorted({int(group) for group in said["Gid"].split() + said["Groups"].split()}),
            "capabilities": {name: int(said[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
            "no_new_privileges": said["NoNewPrivs"],
            "seccomp": said["Seccomp"],
            "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES},
        }
    )


def writable(session):
    """Every folder of the whole tree in which a file can be made, and every file that can be opened for writing."""
    found = []
    for folder, folders, names in os.walk("/"):
        if folder == "/proc":
            # Its own process's files are its own; what the kernel shares with the host is not.
            folders[:] = [name for name in folders if name in ("sys", "sysvipc", "irq", "bus", "fs")]
        if may_create(folder):
            found.append(folder)
        found += [path for path in (os.path.join(folder, name) for name in names) if may_write(path)]
    session.json({"writable": sorted(found)})


def may_create(folder):
    path = os.path.join(folder, ".mine")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(path)
        return True
    except OSError:
        return False


def may_write(path):
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        os.close(os.open(path, os.O_WRONLY))
        return True
    except OSError:
        return False


def secrets(session):
    """Where the marker of planted secrets stands: in files, and in what the kernel tells of processes.

    Two are its own, a file and a variable of a child: a search that does not find these finds nothing.
    """
    with open("/tmp/own", "wb") as file:
        file.write(MARKER)
    child = subprocess.Popen(["sleep", "86400"], env={"PATH": os.environ["PATH"], "OWN": MARKER.decode()})
    try:
        session.json({"found": search()})
    finally:
        child.kill()
        child.wait()
        os.unlink("/tmp/own")


def search():
    found = []
    for folder, folders, names in os.walk("/"):
        if folder == "/":
            folders[:] = [name for name in folders if name not in ("proc", "sys")]
        for name in names:
            path = os.path.join(folder, name)
            if is_regular(path) and holds(path):
                found.append(path)
    for pid in pids():
        found += [name for name in ("environ", "cmdline", "mountinfo") if MARKER in read(f"/proc/{pid}/{name}")]
    return found


def is_regular(path):
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def holds(path):
    """Piece by piece: this plugin has less memory than the largest file."""
    before = b""
    try:
        with open(path, "rb") as file:
            while piece := file.read(CHUNK):
                if MARKER in before + piece:
                    return True
                before = piece[-len(MARKER) :]
    except OSError:
        pass
    return False


def pids():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def neighbours(session):
    """Processes, sockets and shared memory that it sees, and which of the host's process ids and addresses answer it."""
    ask = session.parameters
    session.json(
        {
            "processes": [read(f"/proc/{pid}/cmdline").split(b"\0")[0].decode() for pid in pids()],
            "signalled": [pid for pid in ask.get("pids", []) if pid not in pids() and may_signal(pid)],
            "sockets": [path for path in ask.get("sockets", []) if connects(path)],
            "abstract": [line for line in read("/proc/net/unix").decode().splitlines() if "@" in line],
            "shared_memory": len(read("/proc/sysvipc/shm").splitlines()) - 1,
            "shm": os.listdir("/dev/shm"),
        }
    )


def may_signal(pid):
    try:
        os.kill(pid, 0)
        return True
    except OSError:
        return False


def connects(path):
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            return True
        except OSError:
            return False


ATTACKS = {attack.__name__: attack for attack in (identity, writable, secrets, neighbours)}
