/**
 * A runtime whose link is real and whose runner is the test: it dials the link's socket, hears requests, and writes
 * whatever bytes it likes.
 */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RuntimeId } from "../../../src/domain/ids.ts";
import { silentLog } from "../../../src/observe/log.ts";
import type { RuntimeDirectory } from "../../../src/runtime/runtimes.ts";
import {
  createSocketTransport,
  type SocketTransport,
  type SocketTransportOptions,
} from "../../../src/transport/socket/socket-transport.ts";
import { hostSocketName, type RuntimeLink, type Transport } from "../../../src/transport/transport.ts";

const PROCESS = "raw";
/** From here on the runner announces a line. */
const ANNOUNCED_BYTES = 262_144;

export interface RawRequest {
  readonly sessionId: string;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

export interface RawPlugin extends AsyncDisposable {
  readonly runtimes: RuntimeDirectory;
  readonly notices: Record<string, unknown>[];
  readonly link: RuntimeLink;
  /** Bytes as they are, split or not: what a broken runner could write. */
  bytes(bytes: string | Buffer): void;
  /** While it is held, it reads nothing. */
  hold(held: boolean): void;
  /** One line as the runner passes it on: announced where it is large. */
  line(sessionId: string, line: string | Buffer): void;
  /** A frame: `inner` is the JSON of its type and data. */
  frame(sessionId: string, inner: string): void;
}

export interface RawPluginOptions {
  /** What it does with each line that comes from the host. */
  readonly onRequest: (request: RawRequest, plugin: RawPlugin) => void;
  /** Its owner ends it; by default the plugin has one of its own. */
  readonly transport?: Transport;
  readonly frameBytesMax?: number;
  readonly id?: string;
}

export function rawTransport(options: Partial<SocketTransportOptions> = {}): SocketTransport {
  return createSocketTransport({ processId: PROCESS, log: silentLog, ...options });
}

export async function startRawPlugin(options: RawPluginOptions): Promise<RawPlugin> {
  const folder = await mkdtemp(join(tmpdir(), "berth-raw-"));
  const { frameBytesMax = 16 * 1024 * 1024, transport = rawTransport() } = options;
  const notices: Record<string, unknown>[] = [];
  const up = Promise.withResolvers<void>();
  const id = RuntimeId.parse(options.id ?? "abcdefghij");
  const nothing = () => undefined;
  const link = await transport.open({
    runtimeId: id,
    folder,
    frameBytesMax,
    listener: {
      onUp: nothing,
      onDown: nothing,
      onReady: () => up.resolve(),
      onExit: nothing,
      onNotice: (notice) => void notices.push(notice),
    },
  });
  const path = join(folder, hostSocketName(PROCESS));
  const data = await dial(path, { hello: "data" });
  const control = await dial(path, { hello: "control", ready: true });
  await up.promise;
  const bytes = (text: string | Buffer) => void data.write(text);
  const plugin: RawPlugin = {
    runtimes: directoryOf({ id, poolKey: "0123456789abcdef", link }),
    notices,
    link,
    bytes,
    hold: (held) => void (held ? data.pause() : data.resume()),
    line(sessionId, line) {
      const size = Buffer.byteLength(line) + 1;
      if (size > ANNOUNCED_BYTES)
        bytes(`{"berth":"frame","session_id":${JSON.stringify(sessionId)},"bytes":${size}}\n`);
      bytes(line);
      bytes("\n");
    },
    frame: (sessionId, inner) =>
      plugin.line(sessionId, `{"event":"session","session_id":"${sessionId}","data":${inner}}`),
    async [Symbol.asyncDispose]() {
      for (const socket of [data, control]) socket.destroy();
      if (options.transport === undefined) await transport[Symbol.asyncDispose]();
      await link[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
  readLines(data, (line) => {
    const { session_id: sessionId, event, data: asked } = JSON.parse(line);
    options.onRequest({ sessionId, event, data: asked }, plugin);
  });
  return plugin;
}

async function dial(path: string, hello: object): Promise<Socket> {
  const socket = connect(path);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(`${JSON.stringify(hello)}\n`);
  return socket;
}

function readLines(socket: Socket, onLine: (line: string) => void): void {
  let rest = "";
  socket.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}

function directoryOf(runtime: ReturnType<RuntimeDirectory["pick"]> & object): RuntimeDirectory {
  return {
    pick: () => runtime,
    wait: () => Promise.resolve(runtime),
    status: () => Promise.resolve({ state: "ready", cause: undefined, nextStartAt: undefined }),
    retire: () => undefined,
  };
}
