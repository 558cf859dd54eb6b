"""The guard's names with a list of its own: the lists and what is learnt as one line of JSON each, no rules."""

import json
import sys

sys.path.insert(0, sys.argv[1])

import names  # noqa: E402
from guard import Destination  # noqa: E402

names.SERVER_PORT, names.HELD_S = int(sys.argv[2]), 0.5


class Guard:
    policies = {"127.0.0.1": [Destination(text) for text in sys.argv[3:]]}

    def upstreams(self):
        return ["127.0.0.1"]

    def learn(self, name, addresses):
        print(json.dumps({"name": name, "addresses": addresses}), flush=True)

    def write(self):
        pass


asked = names.Names(Guard())
print(json.dumps({"port": asked.port}), flush=True)
while True:
    asked.serve(0.05)
    for _, name, count, _ in asked.take_refused():
        print(json.dumps({"refused": name, "count": count}), flush=True)
