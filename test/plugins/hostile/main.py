"""A plugin that attacks its host and its neighbours in the way that its caller names."""

import berth_protocol
import inspection
import protocol_attacks
import resource_attacks

ATTACKS = {
    "none": lambda session: session.text("here"),
    **resource_attacks.ATTACKS,
    **protocol_attacks.ATTACKS,
    **inspection.ATTACKS,
}


def handle(session):
    ATTACKS[session.parameters["attack"]](session)


if __name__ == "__main__":
    berth_protocol.serve(handle)
