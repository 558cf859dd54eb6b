"""Writes one table of nftables over netlink, with the standard library alone: no image needs a program for it.

Names of attributes are those of linux/netfilter/nf_tables.h. A batch is one transaction: the kernel takes all of it or
nothing, so that there is no moment without rules.
"""

import ipaddress
import os
import socket
import struct

NETLINK_NETFILTER = 12
INET = 1
REQUEST, ACK, CREATE, APPEND, DUMP = 0x1, 0x4, 0x400, 0x800, 0x300
(NEWTABLE, GETTABLE, DELTABLE, NEWCHAIN, _GETCHAIN, _DELCHAIN, NEWRULE, _GETRULE, DELRULE, NEWSET, _GETSET, _DELSET) = range(12)
GETSETELEM = 13
ERROR, DONE = 2, 3
ENOBUFS_BYTES = 1 << 20

LOCAL_IN, FORWARD, PREROUTING = 1, 2, 0
ACCEPT, CONTINUE, JUMP, GOTO = 1, -1, -3, -4
TCP, UDP = 6, 17


class Refused(Exception):
    """The kernel refused a change."""


def attribute(kind, data):
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def nest(kind, *parts):
    return attribute(kind | 0x8000, b"".join(parts))


def text(kind, value):
    return attribute(kind, value.encode() + b"\0")


def number(kind, value):
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found.setdefault(kind & 0x3FFF, []).append(data[4:length])
        data = data[(length + 3) & ~3 :]
    return found


def expression(name, *parts):
    return nest(1, text(1, name), nest(2, *parts))


def value(kind, data):
    return nest(kind, attribute(1, data))


def meta(key, register=1):
    return expression("meta", number(1, register), number(2, key))


def payload(base, offset, length, register=1):
    return expression("payload", number(1, register), number(2, base), number(3, offset), number(4, length))


def equals(data, register=1, operator=0):
    return expression("cmp", number(1, register), number(2, operator), value(3, data))


def masked(mask, register=1):
    zero = b"\0" * len(mask)
    parts = (number(1, register), number(2, register), number(3, len(mask)), value(4, mask), value(5, zero))
    return expression("bitwise", *parts)


def verdict(code, chain=None):
    parts = [number(1, code)] + ([text(2, chain)] if chain else [])
    return expression("immediate", number(1, 0), nest(2, nest(2, *parts)))


def interface(prefix):
    """Packets that came in through an interface with this prefix."""
    return meta(6) + equals(prefix.encode())


def family(ipv6):
    return meta(15) + equals(bytes([10 if ipv6 else 2]))


def protocol(kind):
    return meta(16) + equals(bytes([kind]))


def asked(key, register=1):
    """The original value of the connection, before the host redirected it."""
    return expression("ct", number(1, register), number(2, key), attribute(3, b"\0"))


def port(wanted):
    return asked(12) + equals(struct.pack(">H", wanted))


def to(wanted):
    network = ipaddress.ip_network(wanted)
    mask = b"" if network.prefixlen == 32 else masked(network.netmask.packed)
    return asked(20) + mask + equals(network.network_address.packed)


def sender(address):
    return payload(1, 12, 4) + equals(ipaddress.ip_address(address).packed)


def state(bits):
    """State of the connection: 2 established, 4 related, 8 new."""
    return connection(0, struct.pack("=I", bits))


def translated():
    """The host redirected the connection: its original destination was an address of the host."""
    return connection(2, struct.pack("=I", 0x20))


def connection(key, bits):
    return expression("ct", number(1, 1), number(2, key)) + masked(bits) + equals(b"\0" * 4, operator=1)


def reset():
    """For TCP only. Unlike ICMP errors, the kernel sends every one of them."""
    return expression("reject", number(1, 1))


def prohibit():
    return expression("reject", number(1, 2), attribute(2, bytes([3])))


def redirect(to_port):
    load = expression("immediate", number(1, 1), value(2, struct.pack(">H", to_port)))
    return load + expression("redir", number(1, 1))


def counted(name):
    """One counter for each sender, receiver, protocol and port, in a set whose elements expire."""
    key = payload(1, 12, 4, 8) + asked(20, 9) + meta(16, 10) + asked(12, 11)
    counter = expression("counter")
    # The expression of a set is not nested in a list, unlike those of rules.
    bare = attribute(7 | 0x8000, counter[4:])
    return key + expression("dynset", text(1, name), number(3, 1), number(4, 8), bare)


class Batch:
    """Changes to one table, sent as one transaction."""

    def __init__(self, table):
        self.table = table
        self.messages = [self.frame(0x10, 0, b"", family=0, resource=10)]

    def frame(self, kind, flags, body, family=INET, resource=0):
        header = struct.pack("=BBH", family, 0, socket.htons(resource))
        return struct.pack("=IHHII", 16 + len(header) + len(body), kind, REQUEST | flags, 0, 0) + header + body

    def add(self, message, flags, *parts):
        self.messages.append(self.frame(0xA00 | message, flags | ACK, b"".join(parts)))

    def replace_table(self):
        name = text(1, self.table)
        self.add(NEWTABLE, CREATE, name)
        self.add(DELTABLE, 0, name)
        self.add(NEWTABLE, CREATE, name)

    def chain(self, name, hook=None, priority=0, kind="filter"):
        parts = [text(1, self.table), text(3, name)]
        if hook is not None:
            parts += [nest(4, number(1, hook), number(2, priority)), text(7, kind)]
        self.add(NEWCHAIN, CREATE, *parts)

    def counters(self, name, entries_max, timeout_s):
        fields = nest(2, *[nest(1, number(1, length)) for length in (4, 4, 1, 2)])
        self.add(
            NEWSET,
            CREATE,
            text(1, self.table),
            text(2, name),
            # Timeout, changed by rules, a key of several parts.
            number(3, 0x10 | 0x20 | 0x80),
            number(5, 16),
            nest(9, number(1, entries_max), fields),
            number(10, len(self.messages)),
            attribute(11, struct.pack(">Q", timeout_s * 1000)),
        )

    def empty(self, chain):
        self.add(DELRULE, 0, text(1, self.table), text(2, chain))

    def rule(self, chain, *expressions):
        self.add(NEWRULE, CREATE | APPEND, text(1, self.table), text(2, chain), nest(4, *expressions))

    def send(self):
        self.messages.append(self.frame(0x11, 0, b"", family=0, resource=10))
        for _ in exchange(b"".join(self.messages), len(self.messages) - 2):
            pass


def exchange(data, acknowledgements=None):
    """Sends, then yields the messages of a dump or waits for so many acknowledgements. Raises `Refused`."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as link:
        link.settimeout(10)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            link.setsockopt(socket.SOL_SOCKET, option, ENOBUFS_BYTES)
        link.bind((0, 0))
        link.send(data)
        while acknowledgements is None or acknowledgements > 0:
            answer = link.recv(ENOBUFS_BYTES)
            while len(answer) >= 16:
                length, kind = struct.unpack_from("=IH", answer)
                body, answer = answer[16:length], answer[(length + 3) & ~3 :]
                if kind == DONE:
                    return
                if kind != ERROR:
                    yield body[4:]
                    continue
                (code,) = struct.unpack_from("=i", body)
                if code < 0:
                    raise Refused(os.strerror(-code))
                acknowledgements = acknowledgements and acknowledgements - 1


def remove(table):
    """Also if it does not exist."""
    batch = Batch(table)
    batch.add(NEWTABLE, CREATE, text(1, table))
    batch.add(DELTABLE, 0, text(1, table))
    batch.send()


def is_there(table):
    """Whether the kernel still has it: reloading a firewall flushes all tables."""
    try:
        list(exchange(Batch(table).frame(0xA00 | GETTABLE, ACK, text(1, table)), 1))
        return True
    except Refused:
        return False


def tables():
    """The names of all tables of this family."""
    found = exchange(Batch("").frame(0xA00 | GETTABLE, DUMP, b""))
    return [attributes(body)[1][0].rstrip(b"\0").decode() for body in found]


def read_counters(table, name):
    """(sender, receiver, protocol, port) to packets, and the seconds until the counter expires without another one."""
    counts = {}
    request = Batch(table).frame(0xA00 | GETSETELEM, DUMP, text(1, table) + text(2, name))
    for body in exchange(request):
        for elements in attributes(body).get(3, []):
            for element in attributes(elements).get(1, []):
                fields = attributes(element)
                key = attributes(fields[1][0])[1][0]
                counter = attributes(attributes(fields[7][0])[2][0])
                (packets,) = struct.unpack(">Q", counter[2][0])
                source, target = (str(ipaddress.ip_address(key[at : at + 4])) for at in (0, 4))
                (left_ms,) = struct.unpack(">Q", fields[5][0])
                counts[source, target, key[8], struct.unpack_from(">H", key, 12)[0]] = (packets, left_ms / 1000)
    return counts
