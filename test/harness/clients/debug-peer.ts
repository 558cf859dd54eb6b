/** A plugin that its author runs, as the public SDK connects it: its registration is recorded, byte for byte. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

const RECORDED = join(import.meta.dirname, "../../fixtures/sdk-registration.txt");
/** The plugin that was recorded: `test/plugins/debugged`. */
export const DEBUGGED = "berth-tests/debugged";

export interface HostLine {
  readonly session_id: string;
  readonly event: "request" | "backwards_response";
  readonly data: Readonly<Record<string, unknown>>;
}

/** Answers one line of a host; `say` sends a message of its session. */
export type PeerScript = (line: HostLine, say: (type: string, data: object) => void, peer: DebugPeer) => void;

export interface PeerOptions {
  readonly port: number;
  readonly key: string;
  /** Rewrites the recorded registration. */
  readonly edit?: (registration: string) => string;
  /** By default the tool's answer is its text parameter. */
  readonly script?: PeerScript;
}

export class DebugPeer implements AsyncDisposable {
  readonly socket: Socket;
  /** Resolves with the last text that came, when the connection has ended. */
  readonly ended: Promise<string>;

  constructor(socket: Socket, script: PeerScript) {
    this.socket = socket;
    socket.on("error", () => undefined);
    let last = "";
    createInterface({ input: socket }).on("line", (line) => {
      last = line;
      if (!line.startsWith("{")) return;
      const read = JSON.parse(line) as HostLine;
      script(read, (type, data) => this.say(read.session_id, type, data), this);
    });
    this.ended = once(socket, "close").then(() => last);
  }

  /** The SDK writes a message and its end in two pieces. */
  say(sessionId: string, type: string, data: object): void {
    this.write(JSON.stringify({ event: "session", session_id: sessionId, data: { type, data } }));
    this.write("\n\n");
  }

  write(text: string | Buffer): void {
    this.socket.write(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.ended;
  }
}

/** Connects and registers; the host says nothing while all is well. */
export async function connectPeer({ script = echo, ...options }: PeerOptions): Promise<DebugPeer> {
  const peer = await dialPeer(options.port, script);
  peer.write(await registration(options));
  return peer;
}

/** Only connects. */
export async function dialPeer(port: number, script: PeerScript = echo): Promise<DebugPeer> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  return new DebugPeer(socket, script);
}

export async function registration({
  key,
  edit = (text) => text,
}: Pick<PeerOptions, "key" | "edit">): Promise<string> {
  return edit(await readFile(RECORDED, "utf8")).replace("KEY", key);
}

const echo: PeerScript = ({ event, data }, say) => {
  if (event !== "request") return;
  const parameters = Object(data["tool_parameters"]) as Readonly<Record<string, unknown>>;
  say("stream", { type: "text", message: { text: String(parameters["text"]) }, meta: null });
  say("end", {});
};
