import { type PackedPlugin, packPlugin } from "../clients/client.ts";

interface Keeper {
  /** Python: `handle(session)`, which may call `keep(session, request)`, and what it needs. */
  readonly code: string;
  /** What the manifest asks for. */
  readonly storageBytes: number;
}

/** An echo that uses its storage instead of echoing. */
export function packKeeper({ code, storageBytes }: Keeper): Promise<PackedPlugin> {
  return packPlugin("echo", {
    "main.py": `${BEFORE}${code}${AFTER}`,
    "manifest.yaml": (text) =>
      text.replace("permission: {}", `permission: {storage: {enabled: true, size: ${storageBytes}}}`),
  });
}

/** Answers of the host are no requests: they are taken out of the lines that `berth_protocol` reads. */
const BEFORE = `import json
import queue
import sys
import threading
import time
import types

import berth_protocol

ANSWERS = queue.Queue()


def requests(lines):
    for raw in lines:
        line = json.loads(raw)
        if line["event"] == "backwards_response":
            if line["data"]["event"] != "end":
                ANSWERS.put(line["data"])
        else:
            yield raw


def keep(session, request):
    session.send("invoke", {"type": "storage", "backwards_request_id": "1", "request": request})
    return ANSWERS.get(timeout=10)


`;

const AFTER = `

if __name__ == "__main__":
    sys.stdin = types.SimpleNamespace(buffer=requests(sys.stdin.buffer))
    berth_protocol.serve(handle)
`;
