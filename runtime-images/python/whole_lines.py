"""Lets old versions of the SDK read requests in linear time.

Up to version 0.2.1 the SDK reads standard input in pieces of 512 bytes and, after each, searches everything that it has
for the end of a line: the time grows with the square of the request's size. Its first versions also decode each piece,
and fail where a character lies in two. A build puts this module and a .pth file that imports it into the environment of
a package with such an SDK. When the SDK's reader is imported, it gets a function that returns whole lines instead.

Standard library only, and nothing but a name is compared at the start of a process that never imports the SDK.
"""

import sys

READER = "dify_plugin.core.server.stdio.request_reader"
STDIN = 0
PIECE_BYTES = 65_536


class ReaderImport:
    """A finder that finds nothing: it notices the import of the reader, which takes its function from gevent then."""

    def find_spec(self, name, _path=None, _target=None):
        if name == READER:
            sys.meta_path.remove(self)
            import gevent.os

            gevent.os.tp_read = whole_lines(gevent.os.tp_read)
        return None


def whole_lines(read):
    """As `read`, but from standard input whole lines, as many as there are. At the end of the input: what is left."""
    rest = []

    def tp_read(fd, size):
        if fd != STDIN:
            return read(fd, size)
        while piece := read(fd, PIECE_BYTES):
            end = piece.rfind(b"\n") + 1
            if end:
                lines = b"".join((*rest, piece[:end]))
                rest[:] = [piece[end:]]
                return lines
            rest.append(piece)
        left = b"".join(rest)
        rest.clear()
        return left

    return tp_read


sys.meta_path.insert(0, ReaderImport())
