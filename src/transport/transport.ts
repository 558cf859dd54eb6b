/**
 * The Transport contract: the framed two-way channel between this process and one Runtime. The host listens, the
 * runner inside the Container dials; each process has its own link to each Runtime that it uses.
 */
import type { Fault } from "../domain/fault.ts";
import type { SessionFrame } from "../domain/frame.ts";
import type { RuntimeId } from "../domain/ids.ts";

/** The name that a process's socket has in each Runtime's folder: the runner dials all of this form. */
export function hostSocketName(processId: string): string {
  return `h-${processId}.sock`;
}

/** Whose socket it is; undefined for other files. */
export function parseHostSocketName(name: string): string | undefined {
  return /^h-(.+)\.sock$/.exec(name)?.[1];
}

export interface LinkOptions {
  readonly runtimeId: RuntimeId;
  /** Host folder that the Container sees read-only as `/run/berth`; the socket is made in it. */
  readonly folder: string;
  readonly frameBytesMax: number;
  /** Of a line to the plugin, where it may be longer than one from it. */
  readonly requestBytesMax?: number;
  readonly listener: LinkListener;
}

/** All are called synchronously, never concurrently. What one throws is logged and changes nothing else. */
export interface LinkListener {
  /** Data and control connections both stand. Called again after a reconnect. */
  onUp(): void;
  /** A connection was lost; sessions open on the link have been told `link_lost` already. The runner may dial again. */
  onDown(): void;
  /** The plugin process said its first heartbeat (at once if it had before this link came up). */
  onReady(): void;
  /** The plugin process ended; sessions open on the link have been told `plugin_crashed` already. */
  onExit(exit: RuntimeExit): void;
  /** Something worth a log line: dropped frames, a bad line, discarded output. */
  onNotice(notice: { readonly kind: string; readonly [field: string]: unknown }): void;
}

export interface RuntimeExit {
  /** Exit code of the plugin process, undefined where a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** The cgroup's OOM-kill counter went up during the life of the process. */
  readonly oom: boolean;
  /** Set where Berth ended it because it hung: what it did not do. */
  readonly hung?: string;
}

export interface RuntimeHealth {
  readonly alive: boolean;
  /** Milliseconds since the plugin's last heartbeat, undefined before the first. */
  readonly heartbeatAgeMs: number | undefined;
  readonly residentBytes: number;
  readonly oomKills: number;
  readonly openSessions: number;
  /** The plugin's process is stopped, by a signal or a tracer: it comes back by nobody's doing but theirs who stopped it. */
  readonly stopped?: boolean;
  /** The longest time that the runner itself did not run, since it answered last. */
  readonly lateMs?: number;
}

/**
 * One session's end of a link. Called synchronously as frames arrive, never after an `end` frame or `onLost`. What
 * `onFrame` throws ends the session: `onLost` follows with it, also after the `end` frame.
 */
export interface SessionListener {
  /** `bytes`: the length of the line on the wire. */
  onFrame(frame: SessionFrame, bytes: number): void;
  /** Terminal: `plugin_crashed`, `link_lost`, `frame_too_large`, `plugin_protocol`. */
  onLost(fault: Fault): void;
}

export interface RuntimeLink extends AsyncDisposable {
  readonly runtimeId: RuntimeId;
  readonly up: boolean;
  readonly ready: boolean;
  readonly openSessions: number;
  /**
   * Registers the session, then writes its request line (given without its newline). Throws `link_lost` when the
   * link is down, `frame_too_large` for the request, `busy` when the plugin has stopped reading and the link's
   * outgoing buffer is full.
   */
  openSession(sessionId: string, line: string, listener: SessionListener): void;
  /** Another line for an open session (an answer to a backwards call). Same errors. */
  send(line: string): void;
  /** Forgets the session: later frames for it are dropped. Harmless when it is unknown. */
  closeSession(sessionId: string): void;
  /**
   * For whoever sees the Container end by another way than the runner's own report: sessions still open get
   * `plugin_crashed` with this cause once what the plugin said last has arrived. Without it, and without a report, a
   * lost connection ends them with `link_lost` after a short settle period. Harmless when the end is known already.
   */
  noteExit(exit: RuntimeExit): void;
  /** Asks over the control connection; rejects with `link_lost` or the signal's reason. */
  ping(signal: AbortSignal): Promise<RuntimeHealth>;
}

export interface Transport extends AsyncDisposable {
  /** Resolves once the socket listens. `socket_path_too_long` names the path, its length and the 107 bytes that fit. */
  open(options: LinkOptions): Promise<RuntimeLink>;
}
