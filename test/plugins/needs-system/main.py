"""Loads a library of the system at its start, as opencv-python does, and runs programs at a call, as pydub does."""

import ctypes
import subprocess

import berth_protocol

ctypes.CDLL("libGL.so.1")


def handle(session):
    session.text(subprocess.run([session.parameters["program"]], capture_output=True, text=True).stdout)


if __name__ == "__main__":
    berth_protocol.serve(handle)
