"""DNS for Containers with a list: resolves the names of the list; all others do not exist."""

import os
import select
import socket
import struct
import time

A, AAAA, IN = 1, 28, 1
NXDOMAIN = 3
# A very quick plugin asks before the list of its Container is known here.
HELD_S, HELD_MAX = 5.0, 256
ANSWER_S = 5.0
SERVER_PORT = 53
PENDING_MAX = 1024
REFUSED_MAX = 1024


def question_of(packet):
    """Name in lower case, type, and the end of the question; None if the packet is no question."""
    try:
        _, flags, questions = struct.unpack_from(">HHH", packet)
        if flags & 0x8000 or questions != 1:
            return None
        name, at = read_name(packet, 12)
        kind, _ = struct.unpack_from(">HH", packet, at)
        return name, kind, at + 4
    except (struct.error, IndexError, ValueError):
        return None


def read_name(packet, at):
    labels = []
    while True:
        length = packet[at]
        if length == 0:
            return ".".join(labels).lower(), at + 1
        if length >= 0xC0:
            # A pointer ends a name; the labels it points to do not matter here.
            return ".".join(labels).lower(), at + 2
        labels.append(packet[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length


def addresses_of(packet):
    """All IPv4 addresses in the answer section."""
    found = []
    try:
        _, _, questions, answers = struct.unpack_from(">HHHH", packet)
        at = 12
        for _ in range(questions):
            at = read_name(packet, at)[1] + 4
        for _ in range(answers):
            at = read_name(packet, at)[1]
            kind, _, _, length = struct.unpack_from(">HHIH", packet, at)
            at += 10
            if kind == A and length == 4:
                found.append(socket.inet_ntoa(packet[at : at + 4]))
            at += length
    except (struct.error, IndexError, ValueError):
        pass
    return found


def answer(packet, end, code):
    """An answer without records."""
    head = packet[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 0, 0, 0)
    return head + packet[12:end]


class Names:
    """`guard` knows the lists, and learns addresses before the Container that asked for them."""

    def __init__(self, guard):
        self.guard = guard
        self.door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.door.bind(("0.0.0.0", 0))
        self.port = self.door.getsockname()[1]
        self.upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.poll = select.poll()
        for sock in (self.door, self.upstream):
            sock.setblocking(False)
            self.poll.register(sock, select.POLLIN)
        self.pending = {}
        self.held = []
        self.refused = {}

    def serve(self, timeout_s):
        """One turn: waits at most `timeout_s` for packets and handles those that have arrived."""
        for fd, _ in self.poll.poll(timeout_s * 1000):
            for _ in range(64):
                try:
                    packet, sender = (self.door if fd == self.door.fileno() else self.upstream).recvfrom(65_535)
                except OSError:
                    break
                if fd == self.door.fileno():
                    self.ask(packet, sender, time.monotonic())
                elif sender[1] == SERVER_PORT and sender[0] in self.guard.upstreams():
                    self.take(packet)
        at = time.monotonic()
        held, self.held = self.held, []
        for packet, sender, since in held:
            self.ask(packet, sender, since)
        self.pending = {key: entry for key, entry in self.pending.items() if entry[3] > at}

    def ask(self, packet, sender, since):
        question = question_of(packet)
        if question is None:
            return
        name, kind, end = question
        allow = self.guard.policies.get(sender[0])
        if allow is None:
            # A sender that stays unknown is no Container of ours and gets no answer.
            if time.monotonic() - since < HELD_S and len(self.held) < HELD_MAX:
                self.held.append((packet, sender, since))
            return
        if not any(destination.covers(name) for destination in allow):
            key = (sender[0], name[:253])
            if key in self.refused or len(self.refused) < REFUSED_MAX:
                count, _ = self.refused.get(key, (0, 0))
                self.refused[key] = (count + 1, round(time.time() * 1000))
            self.reply(answer(packet, end, NXDOMAIN), sender)
        elif kind == AAAA:
            self.reply(answer(packet, end, 0), sender)
        else:
            self.forward(packet, sender, name)

    def forward(self, packet, sender, name):
        servers = self.guard.upstreams()
        if not servers or len(self.pending) >= PENDING_MAX:
            return
        number = int.from_bytes(os.urandom(2))
        self.pending[number] = (packet[:2], sender, name, time.monotonic() + ANSWER_S)
        for server in servers[:2]:
            try:
                self.upstream.sendto(struct.pack(">H", number) + packet[2:], (server, SERVER_PORT))
            except OSError:
                continue

    def take(self, packet):
        if len(packet) < 12:
            return
        entry = self.pending.pop(struct.unpack_from(">H", packet)[0], None)
        if entry is None:
            return
        original, sender, name, _ = entry
        found = addresses_of(packet)
        if found:
            self.guard.learn(name, found)
            # The rules first: the Container may connect as soon as it has the answer.
            self.guard.write()
        self.reply(original + packet[2:], sender)

    def reply(self, packet, sender):
        try:
            self.door.sendto(packet, sender)
        except OSError:
            pass

    def take_refused(self):
        refused, self.refused = self.refused, {}
        return [[address, name, n, last_ms] for (address, name), (n, last_ms) in refused.items()]
