/**
 * This process's links to runtimes, one per runtime. The directory opens them by rows, the keeper those that it launches
 * or adopts; both share one link. Closing a link never touches the container.
 */
import { toFault } from "../../domain/fault.ts";
import { RuntimeId } from "../../domain/ids.ts";
import type { Log } from "../../observe/log.ts";
import {
  FOREIGN_CALL,
  type LinkListener,
  type RuntimeExit,
  type Transport,
} from "../../transport/transport.ts";
import { KeyedLock } from "../../util/keyed-lock.ts";
import type { RuntimeFolders } from "../launch/runtime-folders.ts";
import type { ReachableRuntime } from "../runtimes.ts";

export type LinkEvent =
  | { readonly type: "up" | "down" | "ready"; readonly id: RuntimeId; readonly poolKey: string }
  | {
      readonly type: "exit";
      readonly id: RuntimeId;
      readonly poolKey: string;
      readonly exit: RuntimeExit;
    };

/** A plugin called back for a session that is not open: another's, an old or a guessed one. Nobody answers it. */
export interface ForeignCall {
  readonly poolKey: string;
}

interface Held extends ReachableRuntime {
  /** False once it drains, was retired, or its plugin ended: it is not picked any more. */
  accepting: boolean;
  exit: RuntimeExit | undefined;
}

export class RuntimeLinks implements AsyncDisposable {
  readonly #transport: Transport;
  readonly #folders: RuntimeFolders;
  readonly #frameBytesMax: number;
  readonly #requestBytesMax: number;
  readonly #log: Log;
  readonly #lock = new KeyedLock<RuntimeId>();
  readonly #held = new Map<RuntimeId, Held>();
  readonly #byPool = new Map<string, Set<Held>>();
  readonly #listeners = new Set<(event: LinkEvent) => void>();
  readonly #onForeignCall: ((call: ForeignCall) => void) | undefined;
  #closed = false;

  constructor(deps: {
    readonly transport: Transport;
    readonly folders: RuntimeFolders;
    readonly frameBytesMax: number;
    /** Limit of a line to a plugin, if it may be longer than one from it. */
    readonly requestBytesMax?: number;
    /** Called as often as plugins do it. Must not throw. */
    readonly onForeignCall?: (call: ForeignCall) => void;
    readonly log: Log;
  }) {
    this.#transport = deps.transport;
    this.#folders = deps.folders;
    this.#frameBytesMax = deps.frameBytesMax;
    this.#requestBytesMax = deps.requestBytesMax ?? deps.frameBytesMax;
    this.#onForeignCall = deps.onForeignCall;
    this.#log = deps.log;
  }

  /** Resolves once the socket listens in the runtime's folder, which must exist; repeated, it returns the same link. */
  open(runtime: { readonly id: RuntimeId; readonly poolKey: string }): Promise<ReachableRuntime> {
    return this.#lock.run(runtime.id, async () => {
      const held = this.#held.get(runtime.id);
      if (held !== undefined) return held;
      const link = await this.#transport.open({
        runtimeId: runtime.id,
        folder: this.#folders.pathOf(runtime.id),
        frameBytesMax: this.#frameBytesMax,
        requestBytesMax: this.#requestBytesMax,
        listener: this.#listenerOf(runtime),
      });
      if (this.#closed) {
        await link[Symbol.asyncDispose]();
        throw new Error("the links of this process are closed");
      }
      const opened: Held = {
        id: runtime.id,
        poolKey: runtime.poolKey,
        link,
        accepting: true,
        exit: undefined,
      };
      this.#held.set(runtime.id, opened);
      const pool = this.#byPool.get(runtime.poolKey) ?? new Set();
      this.#byPool.set(runtime.poolKey, pool.add(opened));
      return opened;
    });
  }

  async close(id: RuntimeId): Promise<void> {
    await this.#lock.run(id, async () => {
      const held = this.#held.get(id);
      if (held === undefined) return;
      this.#held.delete(id);
      const pool = this.#byPool.get(held.poolKey);
      pool?.delete(held);
      if (pool?.size === 0) this.#byPool.delete(held.poolKey);
      await held.link[Symbol.asyncDispose]();
    });
  }

  /** The least loaded runtime of the pool that is up, ready and takes calls. */
  pick(poolKey: string): ReachableRuntime | undefined {
    let best: Held | undefined;
    for (const held of this.#byPool.get(poolKey) ?? []) {
      if (!held.accepting || !held.link.up || !held.link.ready) continue;
      if (best === undefined || held.link.openSessions < best.link.openSessions) best = held;
    }
    return best;
  }

  find(id: RuntimeId): ReachableRuntime | undefined {
    return this.#held.get(id);
  }

  /** The text as the id of a runtime that is linked here. */
  idOf(text: string): RuntimeId | undefined {
    const id = RuntimeId.safeParse(text);
    return id.success && this.#held.has(id.data) ? id.data : undefined;
  }

  ids(): readonly RuntimeId[] {
    return [...this.#held.keys()];
  }

  exitOf(id: RuntimeId): RuntimeExit | undefined {
    return this.#held.get(id)?.exit;
  }

  stopAccepting(id: RuntimeId): void {
    const held = this.#held.get(id);
    if (held !== undefined) held.accepting = false;
  }

  /** How the container ended, as the engine knows it. Ends the sessions on the link; later reports change nothing. */
  noteExit(id: RuntimeId, exit: RuntimeExit): void {
    const held = this.#held.get(id);
    if (held === undefined || held.exit !== undefined) return;
    held.link.noteExit(exit);
    this.#exited(held, exit);
  }

  /** Returns a function that removes the listener. */
  onEvent(listener: (event: LinkEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all(this.ids().map((id) => this.close(id)));
  }

  #listenerOf({ id, poolKey }: { readonly id: RuntimeId; readonly poolKey: string }): LinkListener {
    return {
      onUp: () => this.#emit({ type: "up", id, poolKey }),
      onDown: () => this.#emit({ type: "down", id, poolKey }),
      onReady: () => this.#emit({ type: "ready", id, poolKey }),
      onExit: (exit) => {
        const held = this.#held.get(id);
        if (held !== undefined && held.exit === undefined) this.#exited(held, exit);
      },
      onNotice: (notice) => {
        this.#log.info({ op: "runtime.notice", runtime: id, pool: poolKey, ...notice });
        if (notice.kind === FOREIGN_CALL) this.#onForeignCall?.({ poolKey });
      },
    };
  }

  #exited(held: Held, exit: RuntimeExit): void {
    held.exit = exit;
    held.accepting = false;
    this.#emit({ type: "exit", id: held.id, poolKey: held.poolKey, exit });
  }

  #emit(event: LinkEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // The transport calls this from a socket's handler: nothing may be thrown into it.
        this.#log.error({ op: "runtime.link_event", runtime: event.id, err: toFault(error) });
      }
    }
  }
}
