import { join } from "node:path";
import { Fault, invalidInput } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { RunnerKey } from "../runner-key.ts";
import { hostSocketName, type LinkOptions, type RuntimeLink, type Transport } from "../transport.ts";
import { LargeFrames } from "./frames/large-frames.ts";
import { SocketLink, type SocketLinkSettings } from "./socket-link.ts";

export interface SocketTransportOptions extends Partial<SocketLinkSettings> {
  /** Names this process's socket in each folder; no two live processes may share it. */
  readonly processId: string;
  readonly log: Log;
  /** Most bytes of all large frames in memory together. */
  readonly largeFramesBudgetBytes?: number;
  /** How long a large frame may wait for room in that budget. */
  readonly largeFrameWaitMs?: number;
}

export interface SocketTransport extends Transport {
  /** Bytes of large frames in memory, from the first byte read to the delivery. */
  readonly largeFrameBytes: number;
}

const DEFAULTS: SocketLinkSettings = {
  // Callers have their own limit; an answer after it still proves that the runner lives.
  pingTimeoutMs: 600_000,
  helloTimeoutMs: 1_000,
  // If a whole container dies, the engine, or a worker over the queue, reports how; on a busy host that takes a while.
  settleMs: 2_000,
  lingerMs: 250,
  // The runner announces larger lines, and only those.
  largeFrameBytes: 256 * 1024,
  outgoingBytesMax: 8 * 1024 * 1024,
  largeFrameTimeoutMs: 10_000,
};

/** The length of the kernel's `sun_path` without its final zero. */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * The Transport over Unix sockets: one listening socket per runtime folder, dialled by the runner in the container.
 * Disposing it closes every link that is still open.
 */
export function createSocketTransport(options: SocketTransportOptions): SocketTransport {
  const { processId, log, largeFramesBudgetBytes = 32 * 1024 * 1024, largeFrameWaitMs = 15_000 } = options;
  if (!/^[a-zA-Z0-9_-]{1,32}$/.test(processId)) {
    throw invalidInput("processId", processId, "1 to 32 letters, digits, _ and -");
  }
  const settings: SocketLinkSettings = { ...DEFAULTS, ...pickDefined(options) };
  const largeFrames = new LargeFrames({
    budgetBytes: largeFramesBudgetBytes,
    ownerBytesMax: Math.ceil(largeFramesBudgetBytes / 4),
    waitMs: largeFrameWaitMs,
    holdMs: 3 * settings.largeFrameTimeoutMs,
    readMs: 2 * settings.largeFrameTimeoutMs,
    idleMs: 60_000,
  });
  const links = new Set<SocketLink>();
  return {
    get largeFrameBytes() {
      return largeFrames.heldBytes;
    },
    open: async (linkOptions: LinkOptions): Promise<RuntimeLink> => {
      const path = checkedPath(join(linkOptions.folder, hostSocketName(processId)));
      const key = await RunnerKey.find(linkOptions.folder);
      const link: SocketLink = new SocketLink({
        path,
        key,
        options: linkOptions,
        settings,
        largeFrames,
        log,
        onClosed: () => links.delete(link),
      });
      await link.listen();
      links.add(link);
      return link;
    },
    [Symbol.asyncDispose]: async () => {
      for (const link of [...links]) await link[Symbol.asyncDispose]();
      await largeFrames[Symbol.asyncDispose]();
    },
  };
}

function pickDefined(options: Partial<SocketLinkSettings>): Partial<SocketLinkSettings> {
  const keys = Object.keys(DEFAULTS) as (keyof SocketLinkSettings)[];
  return Object.fromEntries(
    keys.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]),
  );
}

function checkedPath(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return path;
  throw new Fault(
    "socket_path_too_long",
    `The socket path ${path} has ${bytes} bytes; at most ${SOCKET_PATH_BYTES_MAX} fit.`,
    { details: { field: "path", value: path, bytes, accepted: SOCKET_PATH_BYTES_MAX } },
  );
}
