"""Attacks on what is said between host and plugin, and on the folder in which they meet."""

import json
import os
import socket
import threading
import time

import berth_protocol

RUN = "/run/berth"
MB = 1_048_576

_told = threading.Event()


def frame(session_id, data, kind="stream"):
    inner = {"type": kind, "data": data}
    return json.dumps({"event": "session", "session_id": session_id, "data": inner}).encode() + b"\n"


def raw(session):
    """Says the text as it is, with its own session's id where it says SESSION."""
    berth_protocol.write_text(session.parameters["raw"].replace("SESSION", session.id))


def nested(session):
    """Arrays in arrays, so many deep, in the place of an item's data or of a frame's type."""
    depth = int(session.parameters["depth"])
    text = ("[" * depth + "]" * depth).encode()
    head = f'{{"event":"session","session_id":"{session.id}","data":{{"type":'.encode()
    if session.parameters.get("place") == "type":
        berth_protocol.write_bytes(head + text + b"}}\n")
    else:
        berth_protocol.write_bytes(head + b'"stream","data":' + text + b"}}\n")


def wide(session):
    """One item that holds so many megabytes of empty arrays."""
    text = b"[]," * (int(session.parameters["megabytes"]) * MB // 3)
    head = f'{{"event":"session","session_id":"{session.id}","data":{{"type":"stream","data":'
    tail = b"[]]}}}}\n"
    berth_protocol.write_bytes(head.encode() + b'{"type":"json","message":{"json_object":[' + text + tail)


def large(session):
    """One text message of so many megabytes, said in pieces: this plugin has less memory than that."""
    empty = frame(session.id, {"type": "text", "message": {"text": ""}, "meta": None})
    head, tail = empty.split(b'""')
    with berth_protocol._lock:
        os_write(head + b'"')
        for _ in range(int(session.parameters["megabytes"])):
            os_write(b"x" * MB)
        os_write(b'"' + tail)


def os_write(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def tiny_lines(session):
    block = b"x\n" * 32_768
    for _ in range(int(session.parameters["count"]) // 32_768):
        berth_protocol.write_bytes(block)
    session.text("done")


def tiny_frames(session):
    """So many empty texts, five hundred in one write."""
    block = frame(session.id, {"type": "text", "message": {"text": ""}, "meta": None}) * 500
    for _ in range(int(session.parameters["count"]) // 500):
        berth_protocol.write_bytes(block)


def forged(session):
    """Answers in the name of other sessions: items, errors, ends and calls to the host."""
    for session_id in session.parameters["sessions"]:
        berth_protocol.write_bytes(frame(session_id, {"type": "text", "message": {"text": "forged"}, "meta": None}))
        berth_protocol.write_bytes(frame(session_id, {"error_type": "forged", "message": "forged"}, "error"))
        berth_protocol.write_bytes(frame(session_id, {}, "end"))
    session.text("done")


def announced(session):
    """The runner's own words about a large frame, and then none of it."""
    line = {"berth": "frame", "session_id": session.id, "bytes": 12 * MB}
    berth_protocol.write_bytes(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    session.text("done")


def after_the_end(session):
    session.text("before")
    session.end()
    session.text("after")
    session.error(ValueError("after"))
    session.end()


def half_line(session):
    """Half a line and then silence: nothing of this plugin's is said any more."""
    line = frame(session.id, {"type": "text", "message": {"text": "never"}, "meta": None})
    berth_protocol._lock.acquire()
    os_write(line[: len(line) // 2])
    time.sleep(86_400)


def write_folder(session):
    """Tries to change the folder of the host; answers what went well."""
    done = []
    names = os.listdir(RUN)
    tries = {
        "create": lambda: open(f"{RUN}/new", "w").close(),
        "mkdir": lambda: os.mkdir(f"{RUN}/folder"),
        "write": lambda: open(f"{RUN}/runner.py", "a").close(),
        "rename": lambda: os.rename(f"{RUN}/runner.py", f"{RUN}/other.py"),
        "unlink": lambda: os.unlink(f"{RUN}/{names[0]}"),
        "chmod": lambda: os.chmod(RUN, 0o777),
        "bind": lambda: socket.socket(socket.AF_UNIX).bind(f"{RUN}/h-mine.sock"),
        "mknod": lambda: os.mkfifo(f"{RUN}/fifo"),
    }
    for name, attempt in tries.items():
        try:
            attempt()
            done.append(name)
        except OSError:
            pass
    session.json({"done": done, "tried": len(tries)})


def third_connection(session):
    """Dials the host beside the runner and answers its own call there; says which sockets took it in."""
    admitted = []
    for name in (name for name in os.listdir(RUN) if name.endswith(".sock")):
        for hello in ({"hello": "data"}, {"hello": "control", "ready": True, "frame_bytes_max": 1}):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(1.0)
            try:
                connection.connect(f"{RUN}/{name}")
                connection.sendall(json.dumps(hello).encode() + b"\n" + frame(session.id, {}, "end"))
                if connection.recv(1) != b"":
                    admitted.append(name)
            except TimeoutError:
                admitted.append(name)
            except OSError:
                pass
            finally:
                connection.close()
    session.json({"admitted": admitted})


def stuck(_session):
    """Ends its thread and says nothing, ever: the session stays open and costs the plugin no thread."""
    raise SystemExit


def host_calls(session):
    """Asks its host so often for what it stored, without waiting for an answer."""
    for number in range(int(session.parameters["count"])):
        call = {"backwards_request_id": f"{session.id}-{number}", "type": "storage"}
        request = {"opt": "get", "key": "none"}
        berth_protocol.write_bytes(frame(session.id, {**call, "request": request}, "invoke"))
    session.text("done")


def answer_long(session):
    """So many messages of so many bytes, for callers that do not take them."""
    for _ in range(int(session.parameters["messages"])):
        session.text("x" * int(session.parameters["bytes"]))


def tell_session(session):
    """Says its session's id, then waits for its neighbours' worst, at most so many seconds, then goes on."""
    _told.clear()
    session.text(session.id)
    _told.wait(float(session.parameters["seconds"]))
    session.text("own")


def go_on(session):
    """Lets those that told their session go on."""
    _told.set()
    session.text("told")


ATTACKS = {
    attack.__name__: attack
    for attack in (
        *(raw, nested, wide, large, tiny_lines, tiny_frames, forged, announced, after_the_end, half_line),
        *(write_folder, third_connection, stuck, host_calls, answer_long, tell_session, go_on),
    )
}
