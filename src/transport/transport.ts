/**
 * The Transport contract: a framed two-way channel between this process and one runtime. The host listens and the runner
 * inside the container dials. Each process has its own link to each runtime that it uses.
 */
import type { Fault } from "../domain/fault.ts";
import type { SessionFrame } from "../domain/frame.ts";
import type { RuntimeId } from "../domain/ids.ts";

/** The name of a process's socket in each runtime's folder. The runner dials all sockets with such a name. */
export function hostSocketName(processId: string): string {
  return `h-${processId}.sock`;
}

/** The process id in the name; undefined for other files. */
export function parseHostSocketName(name: string): string | undefined {
  return /^h-(.+)\.sock$/.exec(name)?.[1];
}

export interface LinkOptions {
  readonly runtimeId: RuntimeId;
  /** Host folder that the container sees read-only as `/run/berth`; the socket is made in it. */
  readonly folder: string;
  readonly frameBytesMax: number;
  /** Limit of a line to the plugin, if it may be longer than one from it. */
  readonly requestBytesMax?: number;
  readonly listener: LinkListener;
}

/** Called synchronously, never concurrently. What a listener throws is logged and changes nothing else. */
export interface LinkListener {
  /** Data and control connections are both open. Called again after a reconnect. */
  onUp(): void;
  /** A connection was lost; open sessions have ended with `link_lost` before. The runner may dial again. */
  onDown(): void;
  /** The plugin process sent its first heartbeat (called at once if that was before this link came up). */
  onReady(): void;
  /** The plugin process ended; open sessions have ended with `plugin_crashed` before. */
  onExit(exit: RuntimeExit): void;
  /** An irregular event for the log: dropped frames, a bad line, discarded output, or `FOREIGN_CALL`. */
  onNotice(notice: { readonly kind: string; readonly [field: string]: unknown }): void;
}

/** The kind of the notice that the plugin called back for a session that is not open here. */
export const FOREIGN_CALL = "foreign_call";

export interface RuntimeExit {
  /** Exit code of the plugin process, undefined if a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** The cgroup's OOM-kill counter went up during the life of the process. */
  readonly oom: boolean;
  /** Set if Berth ended it because it hung: why its health check failed. */
  readonly hung?: string;
}

export interface RuntimeHealth {
  readonly alive: boolean;
  /** Milliseconds since the plugin's last heartbeat, undefined before the first. */
  readonly heartbeatAgeMs: number | undefined;
  readonly residentBytes: number;
  readonly oomKills: number;
  readonly openSessions: number;
  /** A signal or a tracer has stopped the plugin's process; only whoever stopped it can resume it. */
  readonly stopped?: boolean;
  /** The longest time since its last answer in which the runner itself did not run, in milliseconds. */
  readonly lateMs?: number;
}

/**
 * Receives the frames of one session. Called synchronously as frames arrive, never after an `end` frame or `onLost`. An
 * exception of `onFrame` ends the session: `onLost` follows with it, also after the `end` frame.
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
   * Registers the session, then writes its request line (`line` has no newline). Throws `link_lost` when the
   * link is down, `frame_too_large` for the request, `busy` when the plugin has stopped reading and the link's
   * outgoing buffer is full.
   */
  openSession(sessionId: string, line: string, listener: SessionListener): void;
  /**
   * Another line for an open session (an answer to a backwards call). Undefined when it is written; otherwise the plugin
   * reads slowly, and the promise resolves when it is written, or rejects with the signal's reason. Throws, or rejects
   * with, `link_lost` and `frame_too_large`.
   */
  send(line: string, signal: AbortSignal): Promise<void> | undefined;
  /** Forgets the session: later frames for it are dropped. Harmless when it is unknown. */
  closeSession(sessionId: string): void;
  /**
   * Reports an end of the container that was seen by another way than the runner's report. Open sessions end with
   * `plugin_crashed` and this cause when the plugin's last lines have arrived. Without any report, a lost connection ends
   * them with `link_lost` after a short settle period. Harmless if the end is known already.
   */
  noteExit(exit: RuntimeExit): void;
  /** Asks over the control connection; rejects with `link_lost` or the signal's reason. */
  ping(signal: AbortSignal): Promise<RuntimeHealth>;
}

export interface Transport extends AsyncDisposable {
  /** Resolves once the socket listens. `socket_path_too_long` names the path, its length and the 107 bytes that fit. */
  open(options: LinkOptions): Promise<RuntimeLink>;
}
