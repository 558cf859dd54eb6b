"""Runs a plugin in a container of `berth dev --container`: the process beside it that connects it to the command.

The folder has two sockets of the command. `control.sock` says the key, then when to start, and its end is the plugin's
end, however the command ended. `relay.sock` leads to the debug port: the plugin reaches it as a port of its own
loopback, so the container needs no network for it.
"""

import os
import socket
import subprocess
import sys
import threading

FOLDER = "/run/berth"
sys.path.append(FOLDER)
import runner  # noqa: E402

BLOCK_BYTES = 65_536


def main() -> None:
    control = connect("control.sock")
    said = control.makefile("rb")
    key = said.readline().decode().strip()
    listener = socket.create_server(("127.0.0.1", 0))
    child = subprocess.Popen(
        ["/opt/venv/bin/python", "-u", f"{FOLDER}/dev_start.py", sys.argv[1]],
        cwd="/plugin",
        env=environment(listener.getsockname()[1], key),
        stdin=subprocess.PIPE,
    )
    threading.Thread(target=obey, args=(said, child), daemon=True).start()
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    code = child.wait()
    # Everything else in the container ends with this process.
    os._exit(code if code >= 0 else 128 - code)


def environment(port: int, key: str) -> dict:
    """As the runner has it, and as an author would set it by hand; some SDKs read the address in two parts."""
    places = runner.WRITABLE_PLACES | os.environ
    runner.link_files(runner.TOKEN_TABLES, places["TIKTOKEN_CACHE_DIR"])
    return places | {
        "INSTALL_METHOD": "remote",
        "REMOTE_INSTALL_URL": f"127.0.0.1:{port}",
        "REMOTE_INSTALL_HOST": "127.0.0.1",
        "REMOTE_INSTALL_PORT": str(port),
        "REMOTE_INSTALL_KEY": key,
    }


def obey(said, child) -> None:
    try:
        if said.readline():
            child.stdin.write(b"\n")
            child.stdin.close()
            said.read()
    except OSError:
        pass  # the plugin has ended, or the command has
    child.kill()


def accept(listener: socket.socket) -> None:
    while True:
        plugin, _ = listener.accept()
        try:
            relay = connect("relay.sock")
        except OSError:
            plugin.close()
            continue
        for source, sink in ((plugin, relay), (relay, plugin)):
            threading.Thread(target=pump, args=(source, sink), daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while block := source.recv(BLOCK_BYTES):
            sink.sendall(block)
    except OSError:
        pass  # one side is gone, and the other learns it
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def connect(name: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.connect(f"{FOLDER}/{name}")
    return link


main()
