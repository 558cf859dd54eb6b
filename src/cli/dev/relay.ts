/**
 * A port or a socket on this machine between the plugin and the debug port of a Berth. Bytes pass unchanged; what passes
 * shows the calls, and why a Berth refused the plugin. The plugin needs no TLS where the Berth has it.
 */
import {
  type AddressInfo,
  connect,
  createServer,
  type ListenOptions,
  type Server,
  type Socket,
} from "node:net";
import { StringDecoder } from "node:string_decoder";
import { connect as connectTls } from "node:tls";
import { Calls, type FinishedCall } from "./calls.ts";

export interface DebugAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** What a relay has seen. */
export interface RelayListener {
  /** The plugin has sent its whole declaration. */
  onRegistered(): void;
  onCall(call: FinishedCall): void;
  onClosed(how: RelayEnd): void;
}

/** How a connection ended; without a word where both are undefined. */
export interface RelayEnd {
  /** What the Berth said before it closed. */
  readonly refusal: string | undefined;
  /** Why the debug port could not be reached. */
  readonly failure: string | undefined;
}

export interface Relay extends AsyncDisposable {
  /** Ends the connections that are open. */
  hangUp(): void;
}

export interface PortRelay extends Relay {
  readonly port: number;
}

/** The last message of a plugin's declaration. */
const REGISTERED = /^\{"type": ?"end"/;
const LINE_CHARACTERS_MAX = 64 * 1024 * 1024;

/** On any free port of the loopback address. */
export async function openRelay(target: DebugAddress, listener: RelayListener): Promise<PortRelay> {
  const { server, relay } = await listen(target, listener, { port: 0, host: "127.0.0.1" });
  return { ...relay, port: (server.address() as AddressInfo).port };
}

/** On a socket that any user may connect to who can reach its folder. */
export async function openSocketRelay(
  target: DebugAddress,
  listener: RelayListener,
  path: string,
): Promise<Relay> {
  const { relay } = await listen(target, listener, { path, readableAll: true, writableAll: true });
  return relay;
}

async function listen(target: DebugAddress, listener: RelayListener, at: ListenOptions) {
  const sockets = new Set<Socket>();
  const server = createServer((plugin) => connectBoth(plugin, target, listener, sockets));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(at, resolve);
  });
  const hangUp = () => {
    for (const socket of sockets) socket.destroy();
  };
  const relay: Relay = {
    hangUp,
    async [Symbol.asyncDispose]() {
      hangUp();
      await closed(server);
    },
  };
  return { server, relay };
}

function connectBoth(
  plugin: Socket,
  target: DebugAddress,
  listener: RelayListener,
  sockets: Set<Socket>,
): void {
  const { host, port } = target;
  const berth = target.tls ? connectTls({ host, port, servername: host }) : connect({ host, port });
  const calls = new Calls();
  let refusal: string | undefined;
  let isEnded = false;
  const end = (failure?: string) => {
    if (isEnded) return;
    isEnded = true;
    for (const socket of [plugin, berth]) {
      sockets.delete(socket);
      socket.destroy();
    }
    for (const call of calls.drop(performance.now())) listener.onCall(call);
    listener.onClosed({ refusal, failure });
  };
  for (const socket of [plugin, berth]) {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => end());
  }
  plugin.on("error", () => end());
  berth.on("error", (error) => end(`the debug port ${host}:${port} does not answer: ${error.message}`));
  const fromPlugin = lines((line) => {
    if (REGISTERED.test(line)) listener.onRegistered();
    const call = calls.answer(line, performance.now());
    if (call !== undefined) listener.onCall(call);
  });
  const fromBerth = lines((line) => {
    if (line.startsWith("{")) calls.request(line, performance.now());
    else refusal = line.replace(/^berth: /, "");
  });
  plugin.on("data", fromPlugin);
  berth.on("data", fromBerth);
  plugin.pipe(berth);
  berth.pipe(plugin);
}

/** Calls `onLine` for each complete line that is not blank; one that is longer than the bound is passed over. */
function lines(onLine: (line: string) => void): (chunk: Buffer) => void {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  return (chunk) => {
    const parts = (rest + decoder.write(chunk)).split("\n");
    rest = parts.pop() ?? "";
    if (rest.length > LINE_CHARACTERS_MAX) rest = "";
    for (const line of parts) if (line.trim() !== "") onLine(line);
  };
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
