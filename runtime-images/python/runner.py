"""The runner: the plugin's parent process inside its Container, and the plugin's only connection to Berth.

It starts the plugin on pipes, dials every Berth process that has a socket in the folder, and passes JSON lines both
ways. Guarantees, whatever plugin and hosts do:

* the plugin's stdout and stderr are always read, so neither a slow host nor a log flood freezes it;
* only whole lines are passed on, in both directions, also if a host dies in mid-line;
* memory is bounded: one unfinished line (frame limit) plus one buffer per host;
* the end of the plugin is reported on every control connection before anything else happens.

One thread, one epoll loop, standard library only, Python 3.11 and newer. An init with PID 1 starts it as
`python3 -I -S runner.py`: the SDK ends itself if its parent has PID 1, so the runner refuses to have it.

Each host has two connections. Each begins with a line from the runner: {"hello":"data"} or {"hello":"control", ...}.
Data then carries request lines in and `session` lines out; a line over ANNOUNCED_BYTES is preceded by
{"berth":"frame","session_id":...,"bytes":N}, N counting the line with its newline, so that the host can make room
before it reads. Control carries pings and start in and pongs, ready, exit, frame_too_large, dropped and notice out.

The plugin has the runner's user id, so it can stop the runner and dial the hosts itself. Therefore each hello proves a
key (an HMAC over the socket's name, the connection's and the hello's number) that the plugin cannot learn: the runner
makes itself unreadable, reads the key from its file, and starts the plugin when the hosts have removed that file.

A line of the Container's log that the plugin wrote during calls begins with TAG_MARK and their request ids, which the
hosts write behind the session id: b"\x1e[ID,ID] text". The plugin cannot claim a call: where a line of its own begins
with the mark, a tag without ids goes before it.
"""

import ctypes
import errno
import fcntl
import hmac
import json
import os
import re
import select
import signal
import socket
import sys
import time
from collections import deque
from itertools import islice

READ_BYTES = 262_144
ANNOUNCED_BYTES = 262_144
# While this much waits for the plugin's stdin, no host is read, so that hosts notice a plugin that does not read.
STDIN_BACKLOG_BYTES = 1_048_576
CONTROL_LINE_BYTES = 65_536
NOISE_BACKLOG_BYTES = 1_048_576
# How much of either end of a line is searched if the line is too long to be parsed.
END_BYTES = 4096
# After so many failed attempts to find a frame in a line it counts as noise.
GLUED_TRIES = 4
# Most open sessions; if a plugin never ends them, the oldest is forgotten.
SESSIONS_MAX = 65_536
# Most session ids in one `dropped` message.
DROPPED_IDS_MAX = 256
# How often a host is told of requests for sessions that are not open.
FOREIGN_CALLS_S = 1.0
# A host whose socket file is gone for so long is forgotten, with its sessions.
FORGET_HOST_S = 30.0
TAG_MARK = b"\x1e"
EMPTY_TAG = b"\x1e[] "
# Most request ids in the tag of a line: those of the calls that began last.
TAG_IDS_MAX = 8
# Most bytes of these ids, which hosts may take from their callers.
TAG_BYTES_MAX = 320
# Most bytes of an error that go to the log; of a longer one, the end.
ERROR_TEXT_BYTES = 32_768
PR_SET_DUMPABLE = 4

HOST_LINE = re.compile(rb'\s*\{\s*"session_id"\s*:\s*"([^"\\]*)"(?:\s*,\s*"request_id"\s*:\s*"([\w.:-]{1,128})")?')
SESSION_LINE = re.compile(
    rb'\s*\{\s*"event"\s*:\s*"session"\s*,\s*"session_id"\s*:\s*"([^"\\]*)"\s*,\s*"data"\s*:\s*\{\s*"type"\s*:\s*"(\w+)"'
)
ANY_SESSION_ID = re.compile(rb'"session_id"\s*:\s*"([^"\\]*)"')
SESSION_EVENT = re.compile(rb'"event"\s*:\s*"session"')
# The beginning of a host's answer to a request of the plugin, as hosts write it.
ANSWER_LINE = re.compile(
    HOST_LINE.pattern
    + rb'(?:\s*,\s*"(?:conversation_id|message_id|app_id|endpoint_id|context)"\s*:\s*null)*'
    + rb'\s*,\s*"event"\s*:\s*"backwards_response"'
)

# Where common libraries keep caches and settings: the rest of the file system is read-only, and some of them write
# beside their code otherwise. What the image or the operator sets is kept.
WRITABLE_PLACES = {
    "XDG_CACHE_HOME": "/tmp/.cache",
    "XDG_CONFIG_HOME": "/tmp/.config",
    "XDG_DATA_HOME": "/tmp/.local/share",
    "HF_HOME": "/tmp/.cache/huggingface",
    "TORCH_HOME": "/tmp/.cache/torch",
    "MPLCONFIGDIR": "/tmp/.config/matplotlib",
    "NUMBA_CACHE_DIR": "/tmp/.cache/numba",
    "NLTK_DATA": "/tmp/nltk_data",
    "TIKTOKEN_CACHE_DIR": "/tmp/.cache/tiktoken",
}
# The image's tables of the encoding with which the SDK counts tokens; without them it fetches them.
TOKEN_TABLES = "/usr/local/share/tiktoken"

IN, OUT, GONE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR


def now():
    return time.monotonic()


def encode(message):
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


TEXT_OPTIONS = ("folder", "cwd", "copy-to", "oom-file", "key-file")


class Options:
    """Command line: `--name value` pairs, then `--`, then the plugin's command."""

    def __init__(self, argv):
        values = {
            "folder": "/run/berth",
            "cwd": "",
            # A folder for a copy of the working directory, on which the plugin runs instead.
            "copy-to": "",
            "frame-bytes-max": "16777216",
            "buffer-bytes": "8388608",
            "grace-ms": "5000",
            # A full buffer makes the plugin wait only while its host reads something at least this often.
            "stall-ms": "1000",
            # How long the last lines of a plugin that ended may take to reach a host.
            "flush-ms": "300",
            "redial-ms": "50",
            "redial-ms-max": "200",
            "noise-bytes-per-second": "262144",
            "noise-burst-bytes": "4194304",
            "oom-file": "",
            # The file with the key for the hellos; the plugin starts when the file is removed.
            "key-file": "",
        }
        rest = list(argv)
        while rest and rest[0] != "--":
            name = rest.pop(0).removeprefix("--")
            if name not in values or not rest:
                fail(f"--{name} is not an option or has no value; accepted: {', '.join(values)}")
            values[name] = rest.pop(0)
        self.command = rest[1:]
        if not self.command:
            fail("there is no command after --")
        try:
            number = {name: int(text) for name, text in values.items() if name not in TEXT_OPTIONS}
        except ValueError as error:
            fail(f"an option is not a whole number: {error}")
        self.folder = values["folder"]
        self.cwd = values["cwd"]
        self.copy_to = values["copy-to"]
        self.oom_file = values["oom-file"]
        self.key_file = values["key-file"]
        self.frame_bytes_max = number["frame-bytes-max"]
        self.buffer_bytes = number["buffer-bytes"]
        self.grace_s = number["grace-ms"] / 1000
        self.stall_s = number["stall-ms"] / 1000
        self.flush_s = number["flush-ms"] / 1000
        self.redial_s = number["redial-ms"] / 1000
        self.redial_s_max = number["redial-ms-max"] / 1000
        self.noise_rate = number["noise-bytes-per-second"]
        self.noise_burst = number["noise-burst-bytes"]


def fail(text):
    os.write(2, f"berth runner: {text}\n".encode())
    os._exit(78)


def link_files(source, folder):
    """Links each file of the source, if there is one, into a folder that stays writable; files that are there stay."""
    try:
        names = os.listdir(source)
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return
    for name in names:
        try:
            os.symlink(os.path.join(source, name), os.path.join(folder, name))
        except OSError:
            pass


class OomCounter:
    """How often the kernel killed a process in this cgroup for memory, by either version of the cgroup files."""

    FILES = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")

    def __init__(self, override):
        candidates = (override,) if override else self.FILES
        self.path = next((path for path in candidates if os.path.exists(path)), None)
        self.at_start = self.read()

    def read(self):
        if self.path is None:
            return 0
        try:
            with open(self.path, encoding="ascii") as file:
                for line in file:
                    name, _, count = line.partition(" ")
                    if name == "oom_kill":
                        return int(count)
        except (OSError, ValueError):
            pass
        return 0

    def kills(self):
        return max(0, self.read() - self.at_start)


class Noise:
    """The plugin's output besides the protocol, passed on to the Container's log without ever blocking.

    A token bucket holds the log to its rate; whatever is over it, or finds the log's reader too slow, is counted
    and shows up as one line once there is room again.
    """

    def __init__(self, options, loop, tag_now):
        self.tag_now = tag_now
        self.rate = options.noise_rate
        self.burst = options.noise_burst
        self.tokens = float(self.burst)
        self.at = now()
        self.dropped = 0
        self.loop = loop
        self.backlog = {1: deque(), 2: deque()}
        self.backlog_bytes = 0
        self.mid_line = {1: False, 2: False}
        for fd in (1, 2):
            os.set_blocking(fd, False)

    def refill(self):
        at = now()
        self.tokens = min(self.burst, self.tokens + (at - self.at) * self.rate)
        self.at = at

    def write(self, fd, data, tag=None):
        """Without a tag of its own, the text is tagged with the calls in flight; with one, it begins a line."""
        self.refill()
        self.report(fd)
        lead = b"\n" if tag is not None and self.mid_line[fd] else b""
        tag = self.tag_now() if tag is None else tag
        if not tag and TAG_MARK in data:
            tag = EMPTY_TAG
        # Counted before it is made: a tag may be longer than a hundred short lines.
        size = len(data) + (data.count(b"\n") + 1) * len(tag)
        if self.dropped or size > self.tokens or self.backlog_bytes + size > NOISE_BACKLOG_BYTES:
            self.dropped += len(data)
            return
        if tag:
            end = len(data) - 1 if data.endswith(b"\n") else len(data)
            head = b"" if self.mid_line[fd] and not lead else tag
            data = head + data[:end].replace(b"\n", b"\n" + tag) + data[end:]
        data = lead + data
        self.tokens -= len(data)
        self.put(fd, data)

    def report(self, fd=2):
        # Waits for half a second's worth of room, to report many drops in one line.
        if not self.dropped or self.tokens < min(self.rate / 2, self.burst) or self.backlog_bytes:
            return
        text = f"[berth] {self.dropped} bytes of output dropped: the log takes {self.rate} bytes a second\n".encode()
        self.dropped = 0
        self.put(fd, (b"\n" if self.mid_line[fd] else b"") + text)

    def put(self, fd, data):
        self.mid_line[fd] = not data.endswith(b"\n")
        if not self.backlog[fd]:
            data = self.push(fd, data)
            if not data:
                return
            self.loop.watch(fd, OUT, self.on_writable)
        self.backlog[fd].append(data)
        self.backlog_bytes += len(data)

    @staticmethod
    def push(fd, data):
        """Writes what fits and returns the rest. If the log is closed, everything is discarded."""
        try:
            return data[os.write(fd, data) :]
        except BlockingIOError:
            return data
        except OSError:
            return b""

    def on_writable(self, fd, _events):
        queue = self.backlog[fd]
        while queue:
            data = queue.popleft()
            rest = self.push(fd, data)
            self.backlog_bytes -= len(data) - len(rest)
            if rest:
                queue.appendleft(rest)
                return
        self.loop.unwatch(fd)

    def finish(self, deadline):
        for fd in (1, 2):
            while self.backlog[fd] and now() < deadline:
                select.select([], [fd], [], 0.02)
                self.on_writable(fd, 0)
        if self.dropped:
            self.push(2, f"[berth] {self.dropped} bytes of output dropped\n".encode())


class Loop:
    """epoll with a handler for each file descriptor. A regular file never blocks and cannot be watched."""

    def __init__(self):
        self.epoll = select.epoll()
        self.handlers = {}
        self.masks = {}

    def watch(self, fd, mask, handler):
        if fd in self.masks:
            if self.masks[fd] != mask:
                self.epoll.modify(fd, mask)
        else:
            try:
                self.epoll.register(fd, mask)
            except PermissionError:
                return
        self.masks[fd] = mask
        self.handlers[fd] = handler

    def unwatch(self, fd):
        if self.masks.pop(fd, None) is not None:
            self.epoll.unregister(fd)
            del self.handlers[fd]


class Host:
    """One Berth process, by the name of its socket. Outlives a lost connection, so that whole lines can wait for it."""

    def __init__(self, name):
        self.name = name
        self.data = None
        self.control = None
        self.partial = bytearray()
        self.control_in = b""
        self.control_out = b""
        # Lines for the host; `sent` bytes of the first one are sent already.
        self.lines = deque()
        self.line_bytes = 0
        self.sent = 0
        self.taken_at = 0.0
        self.stalled = False
        self.dropped_sessions = set()
        self.dropped_lines = 0
        self.dropped_bytes = 0
        self.next_dial = 0.0
        self.dial_delay = 0.0
        self.lost_at = now()


class Runner:
    def __init__(self, options, key):
        self.options = options
        self.key = key
        self.hellos = 0
        self.loop = Loop()
        self.oom = OomCounter(options.oom_file)
        self.noise = Noise(options, self.loop, self.tag_now)
        self.hosts = {}
        self.by_fd = {}
        self.sessions = {}
        # The request id of each open session whose host named one.
        self.requests = {}
        # The tag for what is printed now; None when the calls in flight have changed since.
        self.tag = b""
        self.folder_read_at = -1.0
        self.pid = None
        self.stdin = None
        self.stdin_queue = deque()
        self.stdin_bytes = 0
        self.stdout = None
        self.stderr = None
        # Read into memory of our own: a fresh 256 KB object per read costs six times the read itself.
        self.buffer = bytearray(READ_BYTES)
        self.buffers = [self.buffer]
        self.view = memoryview(self.buffer)
        self.paused_for = None
        self.pending = bytearray()
        self.discarding = 0
        self.discarded_head = b""
        self.discarded_tail = b""
        self.first_object = True
        self.foreign_calls = 0
        self.foreign_told_at = -FOREIGN_CALLS_S
        self.heartbeat_at = None
        self.kill_at = None
        self.status = None
        self.late_s = 0.0

    def start(self):
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        for fd in (self.stdin, self.stdout):
            try:
                fcntl.fcntl(fd, 1031, 1_048_576)  # F_SETPIPE_SZ: fewer turns for large frames
            except OSError:
                pass  # the user's pipe budget is used up; 64 KB works too
        for fd in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(fd, False)
        environment = WRITABLE_PLACES | os.environ | {"INSTALL_METHOD": "local"}
        link_files(TOKEN_TABLES, environment["TIKTOKEN_CACHE_DIR"])
        try:
            self.pid = os.posix_spawnp(
                self.options.command[0],
                self.options.command,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, stdin, 0),
                    (os.POSIX_SPAWN_DUP2, stdout, 1),
                    (os.POSIX_SPAWN_DUP2, stderr, 2),
                ],
                setpgroup=0,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD],
            )
        except OSError as error:
            self.noise.write(2, f"berth runner: {self.options.command[0]}: {error.strerror}\n".encode())
            self.status = 127 << 8
            return
        finally:
            for fd in (stdin, stdout, stderr):
                os.close(fd)
        try:
            # When memory runs out, the kernel must kill the plugin and not the runner that reports it.
            with open(f"/proc/{self.pid}/oom_score_adj", "w", encoding="ascii") as file:
                file.write("900")
        except OSError:
            pass
        self.loop.watch(self.stdout, IN, self.on_stdout)
        self.loop.watch(self.stderr, IN, self.on_stderr)
        if self.kill_at is not None:
            self.signal_group(signal.SIGTERM)  # asked to end while the plugin was being started

    def start_when_alone(self):
        """Starts the plugin when the key cannot be read any more. A line of any host wakes the loop to check again."""
        if self.kill_at is not None:
            self.status = signal.SIGTERM
        elif not self.options.key_file or not os.path.exists(self.options.key_file):
            self.start()

    def signal_group(self, number):
        if self.pid is None:
            return
        try:
            os.killpg(self.pid, number)
        except OSError:
            pass
        if self.status is None:
            # It may have left its process group; until it is reaped its process id is not reused.
            try:
                os.kill(self.pid, number)
            except OSError:
                pass

    def on_terminate(self):
        if self.kill_at is None:
            self.kill_at = now() + self.options.grace_s
            self.signal_group(signal.SIGTERM)

    def reap(self):
        if self.status is not None or self.pid is None:
            return
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.status = status

    def exit_report(self):
        signalled = os.WIFSIGNALED(self.status)
        return {
            "op": "exit",
            "exit_code": None if signalled else os.WEXITSTATUS(self.status),
            "signal": signal_name(os.WTERMSIG(self.status)) if signalled else None,
            "oom": self.oom.kills() > 0,
        }

    def on_stderr(self, fd, _events):
        data = self.read(fd)
        if data:
            self.noise.write(2, data)
        return data

    def read(self, fd):
        try:
            count = os.readv(fd, self.buffers)
        except BlockingIOError:
            return None
        if not count:
            self.loop.unwatch(fd)
        return bytes(self.view[:count])

    def on_stdout(self, fd, _events):
        data = got = self.read(fd)
        if data and self.discarding:
            data = self.discard(data)
        if not data:
            return got
        end = data.rfind(b"\n")
        if end < 0:
            self.pending += data
        elif not self.pending:
            self.take_lines(data[:end].split(b"\n"))
            self.pending += data[end + 1 :]
        elif len(self.pending) + len(data) < ANNOUNCED_BYTES:
            self.pending += data
            *lines, rest = bytes(self.pending).split(b"\n")
            self.pending = bytearray(rest)
            self.take_lines(lines)
        else:
            # A large line is completed in place and never copied.
            first = data.find(b"\n")
            line = self.pending
            line += data[:first]
            self.pending = bytearray(data[end + 1 :])
            self.take_lines([line])
            if end > first:
                self.take_lines(data[first + 1 : end].split(b"\n"))
        if len(self.pending) > self.options.frame_bytes_max:
            self.start_discarding()
        return got

    def start_discarding(self):
        self.discarding = len(self.pending)
        self.discarded_head = bytes(self.pending[:END_BYTES])
        self.discarded_tail = bytes(self.pending[-END_BYTES:])
        self.pending = bytearray()
        match = SESSION_LINE.match(self.discarded_head) or ANY_SESSION_ID.search(self.discarded_head)
        if match:
            self.too_large(match[1], self.discarding)
            self.discarded_head = b""

    def discard(self, data):
        """Discards the rest of the oversize line; returns what follows it."""
        end = data.find(b"\n")
        part = data if end < 0 else data[:end]
        self.discarding += len(part)
        self.discarded_tail = (self.discarded_tail + part)[-END_BYTES:]
        if end < 0:
            return b""
        if self.discarded_head:
            found = ANY_SESSION_ID.findall(self.discarded_tail)
            if found:
                self.too_large(found[-1], self.discarding)
            else:
                self.tell_all({"op": "notice", "kind": "line_too_large", "bytes": self.discarding})
        self.discarding = 0
        return data[end + 1 :]

    def too_large(self, session_id, size):
        """Nothing more of the session is passed on: its end could overtake this message and look like a success."""
        host = self.close_session(session_id)
        if host is not None:
            self.tell(host, {"op": "frame_too_large", "session_id": text_of(session_id), "bytes": size})

    def take_lines(self, lines):
        match_session = SESSION_LINE.match
        sessions = self.sessions
        target = None
        is_drained = False
        batch = []
        for line in lines:
            if not line:
                continue
            match = match_session(line)
            if match is None:
                routed = self.take_other(line)
                if routed is None:
                    continue
                line, session_id, kind = routed
            else:
                session_id = match[1]
                kind = match[2]
            host = sessions.get(session_id)
            if host is None:
                if kind == b"invoke":
                    self.on_foreign_call()
                continue
            if len(line) > self.options.frame_bytes_max:
                self.too_large(session_id, len(line))
                continue
            if kind == b"end" or kind == b"error":
                # What the plugin wrote to stderr before this line belongs to the call, and is in the pipe by now.
                if not is_drained:
                    is_drained = True
                    self.on_stderr(self.stderr, IN)
                if kind == b"error":
                    self.log_error(session_id, line)
                else:
                    self.close_session(session_id)
            if host is not target:
                if batch:
                    self.deliver(target, batch)
                    batch = []
                target = host
            batch.append((session_id, framed(session_id, line)))
        if batch:
            self.deliver(target, batch)

    def close_session(self, session_id):
        """Forgets the session; returns its host, or None if it was not open."""
        self.requests.pop(session_id, None)
        self.tag = None
        return self.sessions.pop(session_id, None)

    def tag_now(self):
        """The tag of the calls in flight, those that began last; empty without any."""
        if self.tag is None:
            request_ids = []
            size = 0
            for request_id in islice(reversed(self.requests.values()), TAG_IDS_MAX):
                size += len(request_id) + 1
                if size > TAG_BYTES_MAX:
                    break
                request_ids.append(request_id)
            self.tag = tag_of(reversed(request_ids))
        return self.tag

    def log_error(self, session_id, line):
        """Writes what ended a call to the log: the traceback where the SDK sends it, else type and message."""
        text = f"the call failed with an error of {len(line)} bytes, too long for the log"
        if len(line) <= ANNOUNCED_BYTES:
            message = parse(bytes(line).strip())
            data = message.get("data") if message else None
            error = data.get("data") if isinstance(data, dict) else None
            if not isinstance(error, dict):
                return
            args = error.get("args")
            trace = args.get("traceback") if isinstance(args, dict) else None
            text = trace if isinstance(trace, str) else f"{error.get('error_type')}: {error.get('message')}"
        said = text.strip().encode(errors="replace")[-ERROR_TEXT_BYTES:] + b"\n"
        request_id = self.requests.get(session_id)
        self.noise.write(2, said, tag_of([request_id]) if request_id else b"")

    def on_foreign_call(self):
        """A request to a host for a session that is not open: nobody answers it, and one host learns of it."""
        self.foreign_calls += 1
        at = now()
        host = next((host for host in self.hosts.values() if host.control is not None), None)
        if host is None or at < self.foreign_told_at + FOREIGN_CALLS_S:
            return
        self.tell(host, {"op": "notice", "kind": "foreign_call", "count": self.foreign_calls})
        self.foreign_calls = 0
        self.foreign_told_at = at

    def take_other(self, line):
        """For a line that is no session line in the usual form: (line, session id, kind) if it is one all the same.

        Whether the line is right is the host's to judge: here it only has to be clear whose it is.
        """
        if len(line) > ANNOUNCED_BYTES:
            return self.take_long(line)
        text = bytes(line).strip()
        at = 0
        for _ in range(GLUED_TRIES):
            match = SESSION_LINE.match(text, at)
            message = None if match else parse(text[at:])
            if match or message is not None:
                # Output without a newline came before it.
                if at:
                    self.noise.write(1, text[:at] + b"\n")
                if match:
                    return text[at:], match[1], match[2]
                return self.take_message(message, text[at:])
            at = text.find(b'{"event"', at + 1)
            if at < 0:
                break
        return self.take_unreadable(text)

    def take_message(self, message, text):
        event, data = message.get("event"), message.get("data")
        if event == "session":
            session_id = message.get("session_id")
            if isinstance(session_id, str):
                kind = data.get("type") if isinstance(data, dict) else None
                kind = kind.encode() if kind in ("end", "invoke", "error") else b""
                return text, session_id.encode(errors="replace"), kind
        elif event == "heartbeat":
            self.on_heartbeat()
            return None
        elif event == "log" and isinstance(data, dict):
            level, said = data.get("level"), data.get("message")
            if isinstance(level, str) and isinstance(said, str):
                text = f"{level} {said}".encode(errors="replace")
                request_id = self.requests.get(str(message.get("session_id")).encode(errors="replace"))
                self.noise.write(1, text + b"\n", tag_of([request_id]) if request_id else None)
                return None
        elif event is None and self.first_object:
            self.first_object = False  # the manifest, which every SDK prints first
            return None
        self.noise.write(1, text + b"\n")
        return None

    def take_long(self, line):
        """A line too long to be parsed, which can take fifty times its size. Output may come before its frame too."""
        at = line.find(b'{"event"', 1, END_BYTES)
        match = SESSION_LINE.match(line, at) if at > 0 else None
        if match:
            self.noise.write(1, line[:at] + b"\n")
            return line[at:], match[1], match[2]
        return self.take_unreadable(line)

    def take_unreadable(self, line):
        """Decides by its two ends: a session gets an error for its unreadable line, everything else is noise."""
        head, tail = bytes(line[:END_BYTES]), bytes(line[-END_BYTES:])
        start = head.lstrip()
        if start.startswith(b"{") and not start.startswith(b'{"berth"'):
            if SESSION_EVENT.search(head) or SESSION_EVENT.search(tail):
                found = ANY_SESSION_ID.findall(head)[:1] or ANY_SESSION_ID.findall(tail)[-1:]
                if found:
                    return line, found[0], b""
        self.noise.write(1, line + b"\n")
        return None

    def on_heartbeat(self):
        first = self.heartbeat_at is None
        self.heartbeat_at = now()
        if first:
            self.tell_all({"op": "ready"})

    def deliver(self, host, batch):
        """Sends whole lines to their host, at once if no others wait for it."""
        lines = host.lines
        sent = 0
        if not lines and host.data is not None:
            data = batch[0][1] if len(batch) == 1 else b"".join([whole for _, whole in batch])
            try:
                sent = host.data.send(data)
            except BlockingIOError:
                pass
            except OSError:
                self.lose(host)
            if sent == len(data):
                return
        for session_id, whole in batch:
            if sent >= len(whole):
                sent -= len(whole)
                continue
            # One line may overshoot, or a frame larger than the buffer could never pass.
            full = host.line_bytes >= self.options.buffer_bytes
            if full and not sent and (host.data is None or host.stalled):
                host.dropped_sessions.add(session_id)
                # Its end could overtake the report of the missing lines.
                self.close_session(session_id)
                host.dropped_lines += 1
                host.dropped_bytes += len(whole)
                continue
            lines.append(whole)
            host.line_bytes += len(whole)
            if sent:
                host.sent, sent = sent, 0
        if host.data is not None:
            if not host.taken_at:
                host.taken_at = now()
            self.watch_data(host)
            if host.line_bytes >= self.options.buffer_bytes and not host.stalled:
                self.paused_for = host
                self.loop.unwatch(self.stdout)
        if host.dropped_lines:
            self.report_dropped(host)

    def check_stall(self):
        """The plugin waits for a slow host, but not for one that has stopped reading."""
        host = self.paused_for
        if host.data is not None and host.line_bytes >= self.options.buffer_bytes // 2:
            if now() - host.taken_at < self.options.stall_s:
                return
            host.stalled = True
        self.paused_for = None
        if self.status is None:
            self.loop.watch(self.stdout, IN, self.on_stdout)

    def report_dropped(self, host):
        if host.control is None or host.control_out:
            return
        session_ids, lines, size = sorted(host.dropped_sessions), host.dropped_lines, host.dropped_bytes
        host.dropped_sessions = set()
        host.dropped_lines = host.dropped_bytes = 0
        for session_id in session_ids:
            self.close_session(session_id)
        for start in range(0, len(session_ids), DROPPED_IDS_MAX):
            part = [text_of(session_id) for session_id in session_ids[start : start + DROPPED_IDS_MAX]]
            self.tell(host, {"op": "dropped", "session_ids": part, "lines": lines, "bytes": size})
            lines = size = 0

    def flush_data(self, host):
        lines = host.lines
        while lines:
            line = lines[0]
            try:
                sent = host.data.send(memoryview(line)[host.sent :])
            except BlockingIOError:
                return
            except OSError:
                self.lose(host)
                return
            host.sent += sent
            host.taken_at = now()
            if host.sent < len(line):
                return
            lines.popleft()
            host.line_bytes -= len(line)
            host.sent = 0
        host.stalled = False
        host.taken_at = 0.0

    def on_data(self, fd, events):
        host = self.by_fd[fd]
        if events & OUT:
            self.flush_data(host)
            if host.data is None:
                return
            if not host.lines:
                self.watch_data(host)
        if not events & (IN | GONE):
            return
        try:
            data = bytes(self.view[: host.data.recv_into(self.buffer)])
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lose(host)
            return
        end = data.rfind(b"\n") + 1
        if not end:
            host.partial += data
            return
        whole = data if end == len(data) else data[:end]
        if host.partial:
            whole = host.partial + whole
            host.partial = bytearray()
        if end < len(data):
            host.partial += data[end:]
        self.write_stdin(self.register(host, whole))

    def register(self, host, whole):
        """
        Remembers which sessions the host has opened; an answer to a request of the plugin opens none. Returns the lines
        for the plugin, which are without request ids.
        """
        sessions = self.sessions
        view, pieces, taken = memoryview(whole), [], 0
        start, end = 0, whole.find(b"\n")
        while end >= 0:
            match = HOST_LINE.match(whole, start, end)
            if match is not None:
                if match[2]:
                    pieces.append(view[taken : match.end(1) + 1])
                    taken = match.end()
                session_id = match[1]
                if session_id not in sessions and ANSWER_LINE.match(whole, start, end) is None:
                    if len(sessions) >= SESSIONS_MAX:
                        self.close_session(next(iter(sessions)))
                    sessions[session_id] = host
                    if match[2]:
                        self.requests[session_id] = match[2]
                        self.tag = None
            start = end + 1
            end = whole.find(b"\n", start)
        return b"".join([*pieces, view[taken:]]) if pieces else whole

    def write_stdin(self, data):
        if self.status is not None:
            return
        if not self.stdin_queue:
            try:
                sent = os.write(self.stdin, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the plugin closed its stdin; its end or its deadline will follow
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
            self.loop.watch(self.stdin, OUT, self.on_stdin)
        self.stdin_queue.append(memoryview(data))
        self.stdin_bytes += len(data)
        if self.stdin_bytes >= STDIN_BACKLOG_BYTES:
            self.watch_all_data()

    def on_stdin(self, fd, _events):
        was_full = self.stdin_bytes >= STDIN_BACKLOG_BYTES
        queue = self.stdin_queue
        while queue:
            try:
                sent = os.write(fd, queue[0])
            except BlockingIOError:
                break
            except OSError:
                queue.clear()
                self.stdin_bytes = 0
                break
            self.stdin_bytes -= sent
            if sent < len(queue[0]):
                queue[0] = queue[0][sent:]
                break
            queue.popleft()
        if not queue:
            self.loop.unwatch(fd)
        if was_full and self.stdin_bytes < STDIN_BACKLOG_BYTES:
            self.watch_all_data()

    def watch_data(self, host):
        mask = (OUT if host.lines else 0) | (IN if self.stdin_bytes < STDIN_BACKLOG_BYTES else 0)
        self.loop.watch(host.data.fileno(), mask, self.on_data)

    def watch_all_data(self):
        for host in self.hosts.values():
            if host.data is not None:
                self.watch_data(host)

    def tell_all(self, message):
        for host in list(self.hosts.values()):
            self.tell(host, message)

    def tell(self, host, message):
        if host.control is None:
            return
        host.control_out += encode(message)
        self.flush_control(host)

    def flush_control(self, host):
        try:
            while host.control_out:
                host.control_out = host.control_out[host.control.send(host.control_out) :]
        except BlockingIOError:
            if len(host.control_out) > 16 * CONTROL_LINE_BYTES:
                self.lose(host)
                return
        except OSError:
            self.lose(host)
            return
        self.loop.watch(host.control.fileno(), IN | (OUT if host.control_out else 0), self.on_control)
        if host.dropped_lines:
            self.report_dropped(host)

    def on_control(self, fd, events):
        host = self.by_fd[fd]
        if events & OUT:
            self.flush_control(host)
            if host.control is None:
                return
        if not events & (IN | GONE):
            return
        try:
            data = host.control.recv(CONTROL_LINE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(host.control_in) > CONTROL_LINE_BYTES:
            self.lose(host)
            return
        *lines, host.control_in = (host.control_in + data).split(b"\n")
        for line in lines:
            message = parse(line)
            if message is not None and message.get("op") == "ping" and isinstance(message.get("id"), int):
                self.tell(host, self.pong(message["id"]))

    def pong(self, ping_id):
        age = None if self.heartbeat_at is None else round((now() - self.heartbeat_at) * 1000)
        return {
            "op": "pong",
            "id": ping_id,
            "alive": self.status is None,
            "heartbeat_age_ms": age,
            "resident_bytes": resident_bytes(self.pid),
            "oom_kills": self.oom.kills(),
            "open_sessions": len(self.sessions),
            "stopped": is_stopped(self.pid),
            "late_ms": self.take_late_ms(),
        }

    def take_late_ms(self):
        late_ms, self.late_s = round(self.late_s * 1000), 0.0
        return late_ms

    def read_folder(self):
        try:
            at = os.stat(self.options.folder).st_mtime_ns
            if at == self.folder_read_at:
                return
            names = {name for name in os.listdir(self.options.folder) if name[:2] == "h-" and name[-5:] == ".sock"}
        except OSError:
            return
        # A change within the clock's resolution does not change the time, so such a reading is not remembered.
        self.folder_read_at = at if time.time_ns() - at > 100_000_000 else -1
        for name in names - self.hosts.keys():
            self.hosts[name] = Host(name)

    def dial_all(self):
        self.read_folder()
        at = now()
        for host in list(self.hosts.values()):
            if host.data is None and host.next_dial <= at and not self.dial(host):
                host.dial_delay = min(self.options.redial_s_max, max(self.options.redial_s, host.dial_delay * 1.5))
                host.next_dial = at + host.dial_delay
                if at - host.lost_at > FORGET_HOST_S:
                    self.forget(host)

    def dial(self, host):
        address = f"{self.options.folder}/{host.name}"
        opened = []
        ready = {"ready": self.heartbeat_at is not None, "frame_bytes_max": self.options.frame_bytes_max}
        try:
            for role, more in (("data", {}), ("control", ready)):
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                opened.append(connection)
                connection.connect(address)
                connection.send(encode({"hello": role, **more, **self.proof(host, role)}))
        except OSError:
            for connection in opened:
                connection.close()
            return False
        host.data, host.control = opened
        for connection in opened:
            self.by_fd[connection.fileno()] = host
        self.loop.watch(host.control.fileno(), IN, self.on_control)
        self.watch_data(host)
        if host.dropped_lines:
            self.report_dropped(host)
        return True

    def proof(self, host, role):
        """Valid for this hello only: its number is part of the proof, and no host accepts a number twice."""
        if self.key is None:
            return {}
        self.hellos += 1
        said = f"{host.name}\n{role}\n{self.hellos}".encode()
        return {"count": self.hellos, "proof": hmac.digest(self.key, said, "sha256").hex()}

    def lose(self, host):
        """One connection of a host was lost: closes the other too. Whole lines wait; a partial one is discarded."""
        for connection in (host.data, host.control):
            if connection is not None:
                self.by_fd.pop(connection.fileno(), None)
                self.loop.unwatch(connection.fileno())
                connection.close()
        host.data = host.control = None
        host.stalled = False
        host.taken_at = 0.0
        host.partial = bytearray()
        host.control_in = host.control_out = b""
        if host.sent:
            host.line_bytes -= len(host.lines.popleft())
            host.sent = 0
        host.lost_at = now()
        host.dial_delay = self.options.redial_s
        host.next_dial = host.lost_at + host.dial_delay

    def forget(self, host):
        if os.path.exists(f"{self.options.folder}/{host.name}") and now() - host.lost_at < 20 * FORGET_HOST_S:
            return
        del self.hosts[host.name]
        self.folder_read_at = -1
        for session_id in [key for key, value in self.sessions.items() if value is host]:
            self.close_session(session_id)

    def run(self):
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.on_terminate())
        self.loop.watch(wake_read, IN, lambda fd, _events: os.read(fd, 512))
        # Dialled before the plugin starts, so that a plugin that dies at once is still reported.
        self.dial_all()
        dial_at = now()
        poll, handlers = self.loop.epoll.poll, self.loop.handlers
        self.start_when_alone()
        self.reap()
        while self.status is None:
            pause = self.pause(dial_at)
            asleep_at = now()
            ready = poll(pause)
            # It slept longer than asked: neither runner nor plugin had a processor.
            self.late_s = max(self.late_s, now() - asleep_at - pause)
            for fd, events in ready:
                handler = handlers.get(fd)
                if handler is not None:
                    handler(fd, events)
                    if fd == wake_read:
                        self.reap()
            if self.pid is None:
                self.start_when_alone()
            at = now()
            if self.paused_for is not None:
                self.check_stall()
            if at >= dial_at:
                self.dial_all()
                lonely = any(host.data is None for host in self.hosts.values()) or not self.hosts
                dial_at = at + (self.options.redial_s if lonely else self.options.redial_s_max)
                if self.noise.dropped:
                    self.noise.refill()
                    self.noise.report()
            if self.kill_at is not None and at >= self.kill_at:
                self.signal_group(signal.SIGKILL)
        return self.finish()

    def pause(self, dial_at):
        until = dial_at if self.kill_at is None else min(dial_at, self.kill_at)
        return max(0.0, until - now())

    def finish(self):
        report = self.exit_report()
        self.tell_all(report)
        self.signal_group(signal.SIGKILL)
        # The plugin's last output is in the pipes; a process that left the group may still write to them.
        for fd, handler in ((self.stdout, self.on_stdout), (self.stderr, self.on_stderr)):
            for _ in range(64):
                if fd is None or not handler(fd, IN):
                    break
        deadline = now() + self.options.flush_s
        waiting = [host for host in self.hosts.values() if host.data is not None]
        while waiting and now() < deadline:
            for host in waiting:
                self.flush_data(host)
                if host.control is not None and host.control_out:
                    self.flush_control(host)
            waiting = [host for host in waiting if host.data is not None and (host.lines or host.control_out)]
            if waiting:
                select.select([], [host.data for host in waiting], [], 0.02)
        self.noise.finish(deadline)
        return report["exit_code"] if report["signal"] is None else 128 + os.WTERMSIG(self.status)


def framed(session_id, line):
    """The line for the host: with its newline, and with an announcement if it is large."""
    if len(line) < ANNOUNCED_BYTES:
        return line + b"\n"
    announcement = encode({"berth": "frame", "session_id": text_of(session_id), "bytes": len(line) + 1})
    if not isinstance(line, bytearray):
        return announcement + line + b"\n"
    line[:0] = announcement  # in place: a frame may be a tenth of the plugin's memory
    line += b"\n"
    return line


def tag_of(request_ids):
    ids = b",".join(request_ids)
    return TAG_MARK + b"[" + ids + b"] " if ids else b""


def parse(text):
    """The text as an object, with integers over 15 digits as 0; None if it is no object."""
    if not text.startswith(b"{") or text.startswith(b'{"berth"'):
        return None
    try:
        message = json.loads(text, parse_int=whole_number)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def whole_number(digits):
    return int(digits) if len(digits) < 16 else 0


def text_of(session_id):
    return session_id.decode(errors="replace")


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"  # most of the real-time ones have no name


def is_stopped(pid):
    """Stopped by a signal or a tracer. The name before the state may contain anything, also a bracket."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2][:1] in ("T", "t")
    except OSError:
        return False


def resident_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def take_key(path):
    """The key for the hellos. Before it is read, no process of this user can trace the runner or read its memory."""
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        fail("cannot keep other processes of its user from reading its memory")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        fail(f"{path}: {error.strerror}; a Container can be started only once, because its key is removed then")


def run_on_copy(folder):
    """Lets the plugin write beside its code, within the bound of the file system that holds the copy."""
    import shutil

    try:
        shutil.copytree(".", folder, symlinks=True, dirs_exist_ok=True)
        os.chdir(folder)
    except OSError as error:
        # Of many files the error names each.
        fail(f"the package cannot be copied to {folder}; its storage may be too small: {str(error)[:300]}")


def main():
    if os.getpid() == 1:
        fail("must not be PID 1, because the plugin would end itself; run the Container with an init")
    options = Options(sys.argv[1:])
    if options.cwd:
        try:
            os.chdir(options.cwd)
        except OSError as error:
            fail(f"{options.cwd}: {os.strerror(error.errno or errno.EIO)}")
    if options.copy_to:
        run_on_copy(options.copy_to)
    key = take_key(options.key_file) if options.key_file else None
    os._exit(Runner(options, key).run())


if __name__ == "__main__":
    main()
