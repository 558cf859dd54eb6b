/**
 * One link to a runtime's runner, across all its reconnects.
 *
 * How open sessions end when the runtime ends: the runner's report (or `noteExit`) has the cause, and the end of the data
 * connection means that everything the plugin wrote has been read; after both, the sessions end with that cause. If a
 * connection is lost without a report, they end with `link_lost` after a settle period.
 */
import { Fault, toFault } from "../../domain/fault.ts";
import { type ProtocolBreach, protocolFault } from "../../domain/frame.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { Log } from "../../observe/log.ts";
import { type Announcement, parseSessionBytes } from "../codec.ts";
import type { RunnerKey } from "../runner-key.ts";
import {
  FOREIGN_CALL,
  type LinkListener,
  type LinkOptions,
  type RuntimeExit,
  type RuntimeHealth,
  type RuntimeLink,
  type SessionListener,
} from "../transport.ts";
import type { ControlMessage } from "./control/control-message.ts";
import { Pings } from "./control/pings.ts";
import { exitFault, frameTooLarge, linkLost } from "./exit-fault.ts";
import type { LargeFrames, Room } from "./frames/large-frames.ts";
import { LivePair } from "./live-pair.ts";
import { type Pair, RunnerListener } from "./runner-listener.ts";
import { Sessions } from "./sessions.ts";

export interface SocketLinkSettings {
  readonly pingTimeoutMs: number;
  readonly helloTimeoutMs: number;
  /** How long a lost connection waits for an exit report, or a report for the end of the connection. */
  readonly settleMs: number;
  /** How long one of the two connections may outlive the other. */
  readonly lingerMs: number;
  /** Frames from this size on are parsed in a worker thread. */
  readonly largeFrameBytes: number;
  /** Most request bytes that wait for a plugin that does not read, beside one whole frame. */
  readonly outgoingBytesMax: number;
  /** A large frame that is not complete by then breaks the link, because others wait for its room. */
  readonly largeFrameTimeoutMs: number;
}

/** Most bytes that wait behind large frames in the parser before the link stops reading. */
const HELD_BYTES_MAX = 4 * 1024 * 1024;

const OTHER_SESSION = {
  field: "session_id",
  found: "another than at the start of the line",
  accepted: "one session for each message",
};

export interface SocketLinkDeps {
  readonly path: string;
  /** The key that the runner must prove; undefined for one that was started before runners had keys. */
  readonly key: RunnerKey | undefined;
  readonly options: LinkOptions;
  readonly settings: SocketLinkSettings;
  readonly largeFrames: LargeFrames;
  readonly log: Log;
  readonly onClosed: () => void;
}

export class SocketLink implements RuntimeLink {
  readonly runtimeId: RuntimeId;
  readonly #deps: SocketLinkDeps;
  readonly #runnerListener: RunnerListener;
  readonly #sessions: Sessions;
  readonly #pings: Pings;
  #pair: LivePair | undefined;
  #up = false;
  #ready = false;
  #exit: RuntimeExit | undefined;
  #dataEnded = false;
  #settling: NodeJS.Timeout | undefined;
  #largeArriving: { readonly room: Room; readonly timer: NodeJS.Timeout } | undefined;
  #closed = false;

  constructor(deps: SocketLinkDeps) {
    this.#deps = deps;
    this.runtimeId = deps.options.runtimeId;
    this.#sessions = new Sessions((sessionId, error) => this.#logThrow(error, sessionId));
    this.#pings = new Pings(deps.settings.pingTimeoutMs);
    this.#runnerListener = new RunnerListener({
      path: deps.path,
      key: deps.key,
      helloTimeoutMs: deps.settings.helloTimeoutMs,
      onPair: (pair) => this.#onPair(pair),
      onNotice: (notice) => deps.options.listener.onNotice(notice),
    });
  }

  get up(): boolean {
    return this.#up;
  }

  get ready(): boolean {
    return this.#up && this.#ready;
  }

  get openSessions(): number {
    return this.#sessions.size;
  }

  listen(): Promise<void> {
    return this.#runnerListener.open();
  }

  openSession(sessionId: string, line: string, listener: SessionListener): void {
    const bytes = Buffer.byteLength(line);
    const pair = this.#writable(bytes);
    this.#sessions.open(sessionId, listener);
    pair.writeData(line, bytes);
  }

  send(line: string, signal: AbortSignal): Promise<void> | undefined {
    const bytes = Buffer.byteLength(line);
    return this.#pairFor(bytes).writeWhenRead(line, bytes, signal);
  }

  closeSession(sessionId: string): void {
    this.#sessions.close(sessionId);
  }

  noteExit(exit: RuntimeExit): void {
    const settled = this.#pair === undefined && this.#settling === undefined;
    if (this.#exit !== undefined || this.#closed || settled) return;
    this.#exit = exit;
    this.#up = false;
    if (this.#pair === undefined || this.#dataEnded) this.#settle();
    else this.#settleSoon();
  }

  ping(signal: AbortSignal): Promise<RuntimeHealth> {
    const pair = this.#pair;
    if (pair === undefined || !this.#up) return Promise.reject(linkLost("The plugin is not connected."));
    return this.#pings.ask((id) => pair.writeControl({ op: "ping", id }), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#up = false;
    clearTimeout(this.#settling);
    this.#runnerListener.close();
    this.#detach()?.destroy();
    this.#endAll(this.#exit === undefined ? linkLost("Berth closed the connection.") : exitFault(this.#exit));
    this.#deps.onClosed();
  }

  get #bytesMax(): number {
    return this.#deps.options.requestBytesMax ?? this.#deps.options.frameBytesMax;
  }

  #pairFor(bytes: number): LivePair {
    if (this.#pair === undefined || !this.#up) throw linkLost("The plugin is not connected.");
    if (bytes > this.#bytesMax) throw frameTooLarge(bytes, this.#bytesMax);
    return this.#pair;
  }

  #writable(bytes: number): LivePair {
    const pair = this.#pairFor(bytes);
    const accepted = this.#bytesMax + this.#deps.settings.outgoingBytesMax;
    if (pair.outgoingBytes + bytes > accepted) {
      throw new Fault("busy", "The plugin does not read its requests.", {
        details: { field: "queuedBytes", value: pair.outgoingBytes, accepted },
      });
    }
    return pair;
  }

  #onPair(pair: Pair): void {
    if (this.#closed) {
      pair.data.destroy();
      pair.control.destroy();
      return;
    }
    this.#exit = undefined;
    this.#dataEnded = false;
    this.#ready = pair.ready;
    this.#up = true;
    const live: LivePair = new LivePair(pair, {
      lineBytesMax: Math.min(1024 * 1024, this.#deps.options.frameBytesMax),
      lingerMs: this.#deps.settings.lingerMs,
      onLine: (line) => this.#onLine(line),
      onAnnounced: (announcement) => this.#onAnnounced(live, announcement),
      onFrame: (announcement, line) => this.#onFrame(live, announcement, line),
      onControl: (message) => this.#onControl(message),
      onControlRefused: (refused) =>
        this.#notify((listener) => listener.onNotice({ kind: "control_refused", ...refused })),
      onControlDelayed: (delayed) =>
        this.#notify((listener) => listener.onNotice({ kind: "control_delayed", ...delayed })),
      onDataEnd: () => this.#onDataEnd(),
      onThrow: (error) => this.#logThrow(error),
      onLost: (reason) => this.#onLost(live, reason),
    });
    this.#pair = live;
    this.#notify((listener) => listener.onUp());
    if (this.#ready) this.#notify((listener) => listener.onReady());
    live.start();
  }

  #onLine(bytesOfLine: Buffer): void {
    const bytes = bytesOfLine.length + 1;
    const line = parseSessionBytes(bytesOfLine);
    if (line.frame === undefined) this.#onUnreadable(line.sessionId, bytes, line.breach);
    else if (line.frame.type !== "invoke" || this.#sessions.has(line.sessionId))
      this.#sessions.deliver(line, bytes);
    else this.#notify((listener) => listener.onNotice({ kind: FOREIGN_CALL, count: 1 }));
  }

  #onUnreadable(sessionId: string | undefined, bytes: number, breach: ProtocolBreach): void {
    // A name that is no session of ours may be as long as the line.
    const open = sessionId !== undefined && this.#sessions.has(sessionId) ? sessionId : undefined;
    this.#notify((listener) => listener.onNotice({ kind: "bad_line", bytes, sessionId: open, ...breach }));
    if (open !== undefined) this.#sessions.lose(open, protocolFault(breach));
  }

  #onAnnounced(pair: LivePair, { sessionId, bytes }: Announcement): boolean | Promise<boolean> {
    const { frameBytesMax } = this.#deps.options;
    // The newline is not part of the frame.
    if (bytes - 1 > frameBytesMax) {
      this.#sessions.lose(sessionId, frameTooLarge(bytes - 1, frameBytesMax));
      return false;
    }
    if (!this.#sessions.has(sessionId)) return false;
    if (bytes < this.#deps.settings.largeFrameBytes) return true;
    const granted = this.#deps.largeFrames.reserve(this.runtimeId, bytes);
    if (!(granted instanceof Promise)) return this.#onRoom(pair, sessionId, granted);
    return granted.then((room) => {
      if (room !== undefined) return this.#onRoom(pair, sessionId, room);
      const details = { value: bytes };
      const message = "There is no room for a message of this size now.";
      this.#sessions.lose(sessionId, new Fault("frame_too_large", message, { details }));
      return false;
    });
  }

  #onRoom(pair: LivePair, sessionId: string, room: Room): boolean {
    if (this.#pair !== pair || !this.#sessions.has(sessionId)) {
      room.release();
      return false;
    }
    const timer = setTimeout(() => pair.destroy(), this.#deps.settings.largeFrameTimeoutMs);
    this.#largeArriving = { room, timer };
    return true;
  }

  #onFrame(pair: LivePair, { sessionId, bytes }: Announcement, line: Buffer<ArrayBuffer>): void {
    if (bytes < this.#deps.settings.largeFrameBytes) {
      this.#onLine(line.subarray(0, -1));
      return;
    }
    const arrived = this.#largeArriving;
    clearTimeout(arrived?.timer);
    this.#largeArriving = undefined;
    const deliver = this.#sessions.expect(sessionId, bytes);
    const held = this.#sessions.heldBytes >= HELD_BYTES_MAX;
    if (held) pair.hold(true);
    this.#deps.largeFrames
      .read(line)
      .then(
        (parsed) => {
          if (parsed.frame === undefined) this.#onUnreadable(sessionId, bytes, parsed.breach);
          else if (parsed.sessionId !== sessionId) this.#onUnreadable(sessionId, bytes, OTHER_SESSION);
          else deliver(parsed.frame);
        },
        (error: unknown) => {
          this.#logThrow(error, sessionId);
          this.#sessions.lose(sessionId, toFault(error));
        },
      )
      .finally(() => {
        arrived?.room.release();
        if (held) pair.hold(false);
      })
      .catch((error: unknown) => this.#logThrow(error, sessionId));
  }

  #onControl(message: ControlMessage): void {
    const { frameBytesMax } = this.#deps.options;
    switch (message.op) {
      case "ready":
        if (!this.#ready) {
          this.#ready = true;
          this.#notify((listener) => listener.onReady());
        }
        break;
      case "pong":
        this.#pings.answer(message);
        break;
      case "exit":
        this.noteExit({
          exitCode: message.exit_code ?? undefined,
          signal: message.signal ?? undefined,
          oom: message.oom,
        });
        break;
      case "frame_too_large":
        this.#sessions.lose(message.session_id, frameTooLarge(message.bytes, frameBytesMax));
        break;
      case "dropped": {
        const { lines, bytes, session_ids: hit } = message;
        const fault = linkLost("Berth did not read the plugin's messages fast enough; some were dropped.");
        for (const sessionId of hit) this.#sessions.lose(sessionId, fault);
        const notice = { kind: "frames_dropped", lines, bytes, sessions: hit.length };
        this.#notify((listener) => listener.onNotice(notice));
        break;
      }
      case "notice": {
        const { kind, bytes, count } = message;
        this.#notify((listener) => listener.onNotice({ kind, bytes, count }));
        break;
      }
      default:
        message satisfies never;
    }
  }

  #onDataEnd(): void {
    this.#dataEnded = true;
    this.#up = false;
    if (this.#exit !== undefined) this.#settle();
  }

  #onLost(pair: LivePair, reason: string): void {
    if (this.#pair !== pair) return;
    this.#deps.log.debug({ op: "link.lost", runtimeId: this.runtimeId, reason });
    this.#detach();
    if (this.#exit === undefined) this.#settleSoon();
    else this.#settle();
  }

  #detach(): LivePair | undefined {
    const pair = this.#pair;
    this.#pair = undefined;
    this.#up = false;
    if (this.#largeArriving !== undefined) {
      clearTimeout(this.#largeArriving.timer);
      this.#largeArriving.room.release();
      this.#largeArriving = undefined;
    }
    return pair;
  }

  #settleSoon(): void {
    this.#settling ??= setTimeout(() => this.#settle(), this.#deps.settings.settleMs);
  }

  /** Nothing more can be learned: ends the sessions, informs the listener, then lets the runner dial again. */
  #settle(): void {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    const exit = this.#exit;
    this.#exit = undefined;
    this.#detach()?.destroy();
    this.#endAll(exit === undefined ? linkLost() : exitFault(exit));
    if (exit !== undefined) this.#notify((listener) => listener.onExit(exit));
    this.#notify((listener) => listener.onDown());
    if (this.#closed) return;
    this.#runnerListener.open().catch((error: Error) => {
      this.#notify((listener) => listener.onNotice({ kind: "listen_failed", error: error.message }));
    });
  }

  /** The link works on, whatever its listener throws. */
  #notify(call: (listener: LinkListener) => void): void {
    try {
      call(this.#deps.options.listener);
    } catch (error) {
      this.#logThrow(error);
    }
  }

  #logThrow(error: unknown, sessionId?: string): void {
    const { log } = this.#deps;
    const err = toFault(error);
    log.error({ op: "link.delivery_failed", runtime: this.runtimeId, session_id: sessionId, err });
  }

  #endAll(fault: Fault): void {
    this.#pings.rejectAll(fault);
    this.#sessions.loseAll(fault);
  }
}
