/**
 * Plays the runner for a plugin that its author runs: dials the socket of each process of Berth that wants to call it, and
 * passes lines between these sockets and the plugin's connection. So a debugged plugin is called, calls back and is bounded
 * as one in a container, by any number of processes.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { RunnerKey } from "../../transport/runner-key.ts";
import { parseHostSocketName } from "../../transport/transport.ts";
import { HostLink } from "./host-link.ts";
import { readHostLine, readPeerLine, sessionOfStart } from "./session-line.ts";

export interface RelayOptions {
  /** The runtime's folder, in which processes make their sockets. */
  readonly folder: string;
  readonly key: RunnerKey;
  /** Writes to the plugin. False: it reads slowly, wait for `peerDrained`. */
  readonly toPeer: (lines: Buffer) => boolean;
  /** Stops or resumes reading from the plugin. */
  readonly holdPeer: (held: boolean) => void;
  readonly onHeartbeat: () => void;
  /** Output of the plugin that is no message to a host. */
  readonly onOutput: (text: string) => void;
}

const LOOK_MS = 100;
/** Most open sessions; if a plugin never ends them, the oldest is forgotten. */
const SESSIONS_MAX = 65_536;
/** How often hosts are told of requests for sessions that are not open. */
const FOREIGN_CALLS_MS = 1_000;
/** A process that takes nothing for so long is not waited for: it loses its sessions, and is dialled again. */
const STALL_MS = 5_000;

export class Relay {
  readonly #options: RelayOptions;
  readonly #hosts = new Map<string, HostLink>();
  readonly #sessions = new Map<string, HostLink>();
  /** Hosts that take no more for now, each with the end of the wait for it. */
  readonly #full = new Map<HostLink, NodeJS.Timeout>();
  #looking: NodeJS.Timeout | undefined;
  #isEnded = false;
  #isPeerFull = false;
  #hellos = 0;
  #foreignCalls = 0;
  #foreignToldAt = Number.NEGATIVE_INFINITY;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Looks for processes from now on. */
  start(): void {
    void this.#look().catch(() => undefined);
  }

  /** A line of the plugin. */
  takeLine(line: Buffer): void {
    const read = readPeerLine(line);
    if (read.type === "heartbeat") this.#options.onHeartbeat();
    else if (read.type === "log") this.#options.onOutput(read.text);
    else this.#toHost(read.sessionId, read.kind, line);
  }

  /** Nothing more of its session is passed on: its end could overtake this report and look like a success. */
  takeTooLong(start: Buffer, bytes: number): void {
    const sessionId = sessionOfStart(start) ?? "";
    const host = this.#sessions.get(sessionId);
    this.#sessions.delete(sessionId);
    if (host === undefined) this.#options.onOutput(`a line of more than ${bytes} bytes was dropped`);
    else host.report({ op: "frame_too_large", session_id: sessionId, bytes: bytes + 1 });
  }

  /** The plugin reads again. */
  peerDrained(): void {
    this.#isPeerFull = false;
    for (const host of this.#hosts.values()) host.resume();
  }

  /** Ends the open sessions as lost. */
  end(): void {
    this.#isEnded = true;
    clearTimeout(this.#looking);
    for (const timer of this.#full.values()) clearTimeout(timer);
    for (const host of this.#hosts.values()) host.end();
    this.#hosts.clear();
    this.#sessions.clear();
  }

  async #look(): Promise<void> {
    const names = await readdir(this.#options.folder).catch(() => []);
    if (this.#isEnded) return;
    for (const name of names)
      if (parseHostSocketName(name) !== undefined && !this.#hosts.has(name)) this.#dial(name);
    this.#looking = setTimeout(() => void this.#look().catch(() => undefined), LOOK_MS);
  }

  #dial(name: string): void {
    const host: HostLink = new HostLink({
      path: join(this.#options.folder, name),
      key: this.#options.key,
      nextHello: () => {
        this.#hellos += 1;
        return this.#hellos;
      },
      onLines: (lines) => this.#toPeer(host, lines),
      onDrain: () => this.#drained(host),
      onLost: () => this.#lost(name, host),
    });
    this.#hosts.set(name, host);
    if (this.#isPeerFull) host.pause();
  }

  #lost(name: string, host: HostLink): void {
    this.#hosts.delete(name);
    this.#drained(host);
    for (const [sessionId, owner] of this.#sessions) if (owner === host) this.#sessions.delete(sessionId);
  }

  #toPeer(host: HostLink, lines: Buffer): void {
    const pieces: Buffer[] = [];
    let taken = 0;
    for (let start = 0; start < lines.length; ) {
      const end = lines.indexOf(10, start);
      const { opens, requestId } = readHostLine(lines.subarray(start, end));
      if (opens !== undefined && !this.#sessions.has(opens)) {
        const [oldest = ""] = this.#sessions.keys();
        if (this.#sessions.size >= SESSIONS_MAX) this.#sessions.delete(oldest);
        this.#sessions.set(opens, host);
      }
      if (requestId !== undefined) {
        pieces.push(lines.subarray(taken, start + requestId.start));
        taken = start + requestId.end;
      }
      start = end + 1;
    }
    const toPeer = taken === 0 ? lines : Buffer.concat([...pieces, lines.subarray(taken)]);
    if (this.#options.toPeer(toPeer) || this.#isPeerFull) return;
    this.#isPeerFull = true;
    for (const one of this.#hosts.values()) one.pause();
  }

  #toHost(sessionId: string, kind: string, line: Buffer): void {
    const host = this.#sessions.get(sessionId);
    if (host === undefined) {
      if (kind === "invoke") this.#noteForeignCall();
      return;
    }
    if (kind === "end") this.#sessions.delete(sessionId);
    if (host.send(sessionId, line) || this.#full.has(host)) return;
    if (this.#full.size === 0) this.#options.holdPeer(true);
    this.#full.set(
      host,
      setTimeout(() => host.destroy(), STALL_MS),
    );
  }

  #drained(host: HostLink): void {
    clearTimeout(this.#full.get(host));
    if (this.#full.delete(host) && this.#full.size === 0) this.#options.holdPeer(false);
  }

  /** A request to a host for a session that is not open: nobody answers it, and one host learns of it. */
  #noteForeignCall(): void {
    this.#foreignCalls += 1;
    const now = performance.now();
    const [host] = this.#hosts.values();
    if (host === undefined || now < this.#foreignToldAt + FOREIGN_CALLS_MS) return;
    host.report({ op: "notice", kind: "foreign_call", count: this.#foreignCalls });
    this.#foreignCalls = 0;
    this.#foreignToldAt = now;
  }
}
