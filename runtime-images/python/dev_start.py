"""Runs a plugin for `berth dev`: loads the SDK first, then waits for a byte on stdin and starts the plugin's module.

So the next process of a plugin has done the slow part of its start before a file is saved.
"""

import ctypes
import os
import runpy
import signal
import sys
import traceback
from importlib.machinery import SourceFileLoader

PR_SET_PDEATHSIG = 1


def main() -> None:
    module = sys.argv[1]
    # Nothing of a plugin outlives the command, however that ends.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # As `python -m` has it.
    sys.path[0] = os.getcwd()
    sys.argv = [module]
    try:
        import dify_plugin  # noqa: F401
    except Exception:
        pass  # the plugin's own import says what is wrong
    if not os.read(0, 1):
        return
    keep_byte_code_out(os.path.join(os.getcwd(), ""), os.path.join(os.getcwd(), ".venv", ""))
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except Exception as error:
        frame = error.__traceback__
        while frame is not None and frame.tb_frame.f_code.co_filename in (__file__, "<frozen runpy>"):
            frame = frame.tb_next
        traceback.print_exception(type(error), error, frame)
        sys.exit(1)


def keep_byte_code_out(folder: str, environment: str) -> None:
    """Byte code names the second of its source: after two saves within one, Python would run the first."""
    write = SourceFileLoader.set_data

    def set_data(self, path, data, **options):
        if not path.startswith(folder) or path.startswith(environment):
            write(self, path, data, **options)

    SourceFileLoader.set_data = set_data


main()
