"""Enforces what Containers on Berth's bridges may reach: one table of nftables in the host's network, and a DNS server
for those that have a list of destinations.

Guarantees, whatever plugins do:

* a Container reaches nothing of the host, whatever listens there and on whichever address, no other Container, and no
  link-local address, unless the operator listed it;
* one on the second bridge reaches the destinations of its list and nothing else; no other name resolves for it;
* the rules stay when this process ends, so killing it opens nothing. Only a file named `end` beside this one removes
  them.

Standard library only, Python 3.11 and newer. It writes lines of JSON to stdout.
"""

import fcntl
import ipaddress
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import nftables as nft  # noqa: E402
from names import Names  # noqa: E402

# Before other filters, so that what they accept does not count.
PRIORITY, NAT_PRIORITY = -10, -110
NEVER = ("169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "127.0.0.0/8", "0.0.0.0/8")
COUNTERS_MAX, COUNTERS_S = 8192, 600
# Most lines of one report; further counts wait in the counters.
TOLD_MAX = 16_384
# Addresses of a name stay for so long after the last answer with them, because connections outlive answers.
ADDRESS_S = 3600.0
RESOLVE_S = 30.0
LOOK_S = 0.5
TURN_S = 0.1
PREFIX = "berth_"
FOLDER = os.path.dirname(os.path.abspath(__file__))


def say(**fields):
    sys.stdout.write(json.dumps(fields, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def network_of(bridge):
    """The bridge's address and network; None while it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("256s", bridge.encode())
        try:
            address, mask = (fcntl.ioctl(probe, code, request)[20:24] for code in (0x8915, 0x891B))
        except OSError:
            return None
    gateway = ipaddress.ip_address(address)
    return str(gateway), str(ipaddress.ip_network(f"{gateway}/{ipaddress.ip_address(mask)}", strict=False))


def nameservers():
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            words = [line.split() for line in file]
    except OSError:
        return []
    named = [word[1] for word in words if len(word) > 1 and word[0] == "nameserver"]
    return [address for address in named if is_ipv4(address)]


def is_ipv4(text):
    try:
        return ipaddress.ip_address(text).version == 4
    except ValueError:
        return False


def nothing_told():
    return {"refused": [], "allowed": [], "names": []}


class Destination:
    """`host:port`, `*.example.com:port`, or an address or network with all its ports."""

    def __init__(self, text):
        self.network = self.name = self.port = None
        host, _, port = text.rpartition(":")
        if port.isdecimal() and host:
            self.port = int(port)
        else:
            host = text
        try:
            self.network = str(ipaddress.IPv4Network(host, strict=False))
        except ValueError:
            self.name = host.lower()

    def covers(self, name):
        if self.name is None:
            return False
        return name == self.name or (self.name.startswith("*.") and name.endswith(self.name[1:]))


class Guard:
    def __init__(self, config):
        self.table = config["table"]
        self.open_bridge = config["bridge"]
        self.list_bridge = config["listBridge"]
        self.exceptions = [Destination(text) for text in config["allow"]]
        self.hosts = config["hosts"]
        self.report_s = config["reportSeconds"]
        # Name to address to the time at which it expires.
        self.addresses = {}
        self.lock = threading.Lock()
        self.policies = {}
        self.policies_seen = None
        self.written = None
        self.is_changed = False
        self.counts = {"refused": {}, "allowed": {}}
        self.told = nothing_told()
        self.ports_seen = None
        self.names = Names(self)

    def own_bridges(self):
        prefixes = (self.open_bridge, self.list_bridge)
        return sorted(name for name in os.listdir("/sys/class/net") if name.startswith(prefixes))

    def own_networks(self):
        """Address and network of each of this Berth's bridges."""
        return [found for found in map(network_of, self.own_bridges()) if found is not None]

    def ports(self):
        """One port name for each Container; no two of them share one at a time."""
        found = []
        for bridge in self.own_bridges():
            try:
                found += os.listdir(f"/sys/class/net/{bridge}/brif")
            except OSError:
                continue
        return sorted(found)

    # Names

    def learn(self, name, addresses):
        until = time.monotonic() + ADDRESS_S
        with self.lock:
            known = self.addresses.setdefault(name, {})
            self.is_changed = self.is_changed or not set(addresses) <= set(known)
            known.update(dict.fromkeys(addresses, until))

    def resolve_all(self):
        listed = [destination for allow in self.policies.values() for destination in allow]
        for name in {d.name for d in [*self.exceptions, *listed] if d.name and not d.name.startswith("*.")}:
            if name in self.hosts:
                continue
            try:
                found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
            except OSError:
                continue
            self.learn(name, {entry[4][0] for entry in found})

    def resolve_forever(self):
        while True:
            self.resolve_all()
            time.sleep(RESOLVE_S)

    def upstreams(self):
        return nameservers()

    def networks_of(self, destination):
        if destination.network is not None:
            return [destination.network]
        if destination.name in self.hosts:
            address = self.hosts[destination.name]
            return [own for own, _ in self.own_networks()] if address == "gateway" else [address]
        at = time.monotonic()
        with self.lock:
            named = [found for name, found in self.addresses.items() if destination.covers(name)]
            return sorted({address for found in named for address, until in found.items() if until > at})

    # Rules

    def matches(self, destinations):
        """The expressions of a rule for each."""
        return [
            nft.to(network) + (b"" if destination.port is None else nft.port(destination.port))
            for destination in destinations
            for network in self.networks_of(destination)
        ]

    def chains(self):
        """Name of a chain to its rules, without the base chains."""
        counted, accept = nft.counted("allowed"), nft.verdict(nft.ACCEPT)
        refuse = nft.verdict(nft.GOTO, "refuse")
        excepted = self.matches(self.exceptions)
        for server in nameservers():
            excepted += [nft.protocol(kind) + nft.to(server) + nft.port(53) for kind in (nft.UDP, nft.TCP)]
        own = [network for _, network in self.own_networks()]
        closed = [nft.translated() + refuse, *[nft.to(network) + refuse for network in [*NEVER, *own]]]
        chains = {
            "refuse": [
                nft.protocol(nft.TCP) + nft.counted("refused") + nft.reset(),
                nft.protocol(nft.UDP) + nft.counted("refused") + nft.prohibit(),
                nft.prohibit(),
            ],
            "excepted": [match + counted + accept for match in excepted],
            "to_host": [nft.verdict(nft.JUMP, "excepted"), refuse],
            "out": [nft.verdict(nft.JUMP, "excepted"), *closed, nft.state(8) + counted],
        }
        listed = nft.verdict(nft.GOTO, "listed")
        chains["listed"] = []
        for address, allow in sorted(self.policies.items()):
            chain = f"of_{address}"
            chains[chain] = [*[match + counted + accept for match in self.matches(allow)], refuse]
            chains["listed"].append(nft.sender(address) + nft.verdict(nft.GOTO, chain))
        chains["listed"].append(refuse)
        # Host ports that the operator opened are open only to Containers whose list names them too.
        excepted_listed = [match + listed for match in excepted]
        chains["list_to_host"] = [nft.protocol(nft.UDP) + nft.port(53) + accept, *excepted_listed, refuse]
        chains["list_out"] = [*excepted_listed, *closed, listed]
        return chains

    def hooks(self):
        ways = [(self.open_bridge, "to_host", "out"), (self.list_bridge, "list_to_host", "list_out")]
        for bridge, to_host, out in ways:
            came_in = nft.interface(bridge)
            for hook, chain in (("input", to_host), ("forward", out)):
                yield hook, came_in + nft.state(6) + nft.verdict(nft.ACCEPT)
                yield hook, came_in + nft.family(ipv6=True) + nft.prohibit()
                yield hook, came_in + nft.verdict(nft.GOTO, chain)
        asks = nft.interface(self.list_bridge) + nft.protocol(nft.UDP) + nft.port(53)
        yield "names", asks + nft.redirect(self.names.port)

    def write(self, anew=False):
        """Changes the kernel's table to the desired one in one transaction; does nothing if nothing has changed."""
        chains = self.chains()
        if chains == self.written and not anew:
            return
        batch = nft.Batch(self.table)
        if anew:
            batch.replace_table()
            for name in self.counts:
                batch.counters(name, COUNTERS_MAX, COUNTERS_S)
                self.counts[name] = {}
            batch.chain("input", nft.LOCAL_IN, PRIORITY)
            batch.chain("forward", nft.FORWARD, PRIORITY)
            batch.chain("names", nft.PREROUTING, NAT_PRIORITY, "nat")
        before = {} if anew or self.written is None else self.written
        # An unused chain stays, empty: its rules must not name other chains meanwhile.
        wanted = {**{name: [] for name in before}, **chains}
        for name in wanted:
            if name not in before:
                batch.chain(name)
        for name, rules in wanted.items():
            if before.get(name) == rules:
                continue
            if name in before:
                batch.empty(name)
            for rule in rules:
                batch.rule(name, rule)
        if anew:
            for hook, rule in self.hooks():
                batch.rule(hook, rule)
        batch.send()
        self.written = wanted

    # Policies

    def read_policies(self):
        """Each file has the policy of one Container: {"address": ..., "allow": [...]}."""
        found = {}
        try:
            for entry in os.scandir(os.path.join(FOLDER, "lists")):
                if entry.name.endswith(".json"):
                    found[entry.path] = entry.stat().st_mtime_ns
        except OSError:
            return
        if found == self.policies_seen:
            return
        policies = {}
        for path in found:
            try:
                with open(path, encoding="utf-8") as file:
                    policy = json.load(file)
                policies[policy["address"]] = [Destination(text) for text in policy["allow"]]
            except (OSError, ValueError, KeyError):
                continue
        self.policies_seen, self.policies, self.is_changed = found, policies, True
        threading.Thread(target=self.resolve_all, daemon=True).start()

    # Reports

    def collect(self):
        """Each with the time of its last packet: another Container may have had the address then."""
        if sum(map(len, self.told.values())) > TOLD_MAX:
            return
        for name, before in self.counts.items():
            # Taken before the kernel answers, so that nothing seems later than it was.
            at = time.time()
            try:
                now = nft.read_counters(self.table, name)
            except nft.Refused:
                # Somebody flushed the rules: the counters start again with the table.
                continue
            self.counts[name] = {key: n for key, (n, _) in now.items()}
            for key, (n, left_s) in now.items():
                # A counter that expired and came back started again.
                more = n - before.get(key, 0) if n >= before.get(key, 0) else n
                if more > 0:
                    self.told[name].append([*key, more, round((at - COUNTERS_S + left_s) * 1000)])
        self.told["names"] += self.names.take_refused()

    def collect_by_holder(self):
        """A Container came or went: from now on its address may belong to another."""
        ports = self.ports()
        if ports == self.ports_seen:
            return
        self.ports_seen = ports
        self.collect()

    def report(self):
        self.collect()
        told, self.told = self.told, nothing_told()
        if any(told.values()):
            say(op="counts", **told)

    def run(self):
        remove_abandoned()
        self.read_policies()
        self.write(anew=True)
        say(op="ready")
        threading.Thread(target=self.resolve_forever, daemon=True).start()
        look_at = report_at = 0.0
        while not os.path.exists(os.path.join(FOLDER, "end")):
            self.names.serve(TURN_S)
            at = time.monotonic()
            self.read_policies()
            if at >= look_at:
                look_at, self.is_changed = at + LOOK_S, True
                if not nft.is_there(self.table):
                    self.write(anew=True)
                    say(op="restored")
            if self.is_changed:
                self.is_changed = False
                self.write()
            self.collect_by_holder()
            if at >= report_at:
                report_at = at + self.report_s
                self.report()
        nft.remove(self.table)


def remove_abandoned():
    """Tables of Berths whose bridges do not exist any more, so that no packet can match them."""
    for table in nft.tables():
        bridges = tuple(f"{kind}-{table.removeprefix(PREFIX)}" for kind in ("br", "bl"))
        if table.startswith(PREFIX) and not any(name.startswith(bridges) for name in os.listdir("/sys/class/net")):
            nft.remove(table)


def main():
    config = json.loads(os.environ["BERTH_EGRESS"])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        Guard(config).run()
    except (nft.Refused, OSError) as error:
        say(op="failed", why=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
