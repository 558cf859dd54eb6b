/** Links without sockets: a test decides when a runner connects and what it answers. */
import type { RuntimeId } from "../../../src/domain/ids.ts";
import type {
  LinkOptions,
  RuntimeExit,
  RuntimeHealth,
  RuntimeLink,
  Transport,
} from "../../../src/transport/transport.ts";

export class FakeLink implements RuntimeLink {
  readonly runtimeId: RuntimeId;
  readonly #options: LinkOptions;
  up = false;
  ready = false;
  openSessions = 0;
  exit: RuntimeExit | undefined;
  health: () => Promise<RuntimeHealth> = async () => ({
    alive: true,
    heartbeatAgeMs: 0,
    residentBytes: 0,
    oomKills: 0,
    openSessions: this.openSessions,
  });

  constructor(options: LinkOptions) {
    this.runtimeId = options.runtimeId;
    this.#options = options;
  }

  becomeReady(): void {
    this.up = true;
    this.ready = true;
    this.#options.listener.onUp();
    this.#options.listener.onReady();
  }

  openSession(): void {}
  send(): undefined {}
  closeSession(): void {}

  noteExit(exit: RuntimeExit): void {
    this.exit = exit;
    this.up = false;
  }

  ping(signal: AbortSignal): Promise<RuntimeHealth> {
    signal.throwIfAborted();
    return this.health();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.up = false;
  }
}

export class FakeTransport implements Transport {
  readonly links = new Map<string, FakeLink>();

  async open(options: LinkOptions): Promise<RuntimeLink> {
    const link = new FakeLink(options);
    this.links.set(options.runtimeId, link);
    return link;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
