"""Echo: what it answers, how much and how slowly is the caller's choice."""

import base64
import os
import sys
import time

import berth_protocol


def handle(session):
    ask = session.parameters
    if "print" in ask:
        berth_protocol.write_text(ask["print"] + "\n")
    if "stderr" in ask:
        print(ask["stderr"], file=sys.stderr, flush=True)
    if "raw_stderr" in ask:
        print(ask["raw_stderr"], end="", file=sys.stderr, flush=True)
    if "log" in ask:
        data = {"level": "INFO", "message": ask["log"], "timestamp": time.time()}
        berth_protocol.write({"event": "log", "data": data})
    if "raw" in ask:
        berth_protocol.write_text(ask["raw"])
    if "kill_self" in ask:
        os.kill(os.getpid(), int(ask["kill_self"]))
    if "leave_group" in ask:
        os.setpgid(0, os.getpgid(os.getppid()))
    if "raw_base64" in ask:
        berth_protocol.write_bytes(base64.b64decode(ask["raw_base64"]))
    if session.data.get("action") == "validate_tool_credentials":
        session.send("stream", {"result": True})
        return
    text = "x" * int(ask["bytes"]) if "bytes" in ask else str(ask.get("text", "hello"))
    for _ in range(int(ask.get("messages", 1))):
        if "delay_ms" in ask:
            time.sleep(float(ask["delay_ms"]) / 1000)
        if ask.get("late_key"):
            inner = {"type": "stream", "data": {"type": "text", "message": {"text": text}, "meta": None}}
            berth_protocol.write({"data": inner, "event": "session", "session_id": session.id})
        else:
            session.text(text)
    if "error_args" in ask:
        error = {"error_type": "LookupError", "message": "no such city", "args": ask["error_args"]}
        session.send("error", error)
    if "error" in ask:
        raise ValueError(ask["error"])


if __name__ == "__main__":
    berth_protocol.serve(handle)
