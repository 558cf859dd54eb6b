/**
 * One connection to the debug port, from its first byte to its end: the key, the registration, then the life of a plugin.
 * The SDK expects no answer while all is well; where something is not, it gets one line of text before the end.
 */
import type { Socket } from "node:net";
import { Fault, toFault } from "../domain/fault.ts";
import type { RuntimeId, TenantId } from "../domain/ids.ts";
import type { Log } from "../observe/log.ts";
import { RunnerKey } from "../transport/runner-key.ts";
import type { Clock } from "../util/clock.ts";
import { Deadline } from "../util/deadline.ts";
import { waitOrAbort } from "../util/wait.ts";
import type { DebugInstallation, DebugInstallations } from "./debug-installations.ts";
import type { DebuggingKeys } from "./debugging-keys.ts";
import { PeerLines } from "./peer-lines.ts";
import { PluginLog, type PluginLogOptions } from "./plugin-log.ts";
import { parseHandshake } from "./registration/messages.ts";
import { type Registered, Registration } from "./registration/registration.ts";
import { Relay } from "./relay/relay.ts";
import { sayLast } from "./say-last.ts";
import { DECLARATION_BYTES_MAX, type DebugSettings, HANDSHAKE_BYTES_MAX } from "./settings.ts";

export interface PluginConnectionDeps {
  readonly keys: Pick<DebuggingKeys, "use">;
  readonly installations: Pick<DebugInstallations, "add" | "remove">;
  readonly clock: Clock;
  readonly log: Log;
  readonly logs: Pick<PluginLogOptions, "dataFolder" | "settings">;
  readonly settings: DebugSettings;
}

/** What the listener decides about a connection; each may throw the reason to refuse it. */
export interface Admission {
  /** The key was right. */
  tenant(tenantId: TenantId): void;
  plugin(tenantId: TenantId, pluginId: string): void;
  /** It takes the place of this connection. */
  replaces(runtimeId: RuntimeId): void;
  /** It serves calls from now on. */
  connected(installation: DebugInstallation): void;
}

/** What a plugin's socket may hold before its hosts wait. */
const PEER_WAITING_BYTES_MAX = 1_048_576;
const SILENCE_CHECKS = 4;

export class PluginConnection {
  readonly #socket: Socket;
  readonly #deps: PluginConnectionDeps;
  readonly #lines: PeerLines;
  readonly #ending = new AbortController();
  readonly #from: string;
  #onLine: (line: Buffer) => void = () => undefined;
  #onTooLong: (start: Buffer, bytesMax: number) => void;

  constructor(socket: Socket, deps: PluginConnectionDeps) {
    this.#socket = socket;
    this.#deps = deps;
    this.#from = `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
    this.#onTooLong = (_, bytesMax) =>
      this.end(new Fault("payload_too_large", `a line has more than ${bytesMax} bytes`));
    this.#lines = new PeerLines(socket, HANDSHAKE_BYTES_MAX, {
      onLine: (line) => this.#onLine(line),
      onTooLong: (start, bytesMax) => this.#onTooLong(start, bytesMax),
    });
    this.#lines.pause();
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    socket.on("error", () => undefined);
    socket.once("close", () =>
      this.#ending.abort(new Fault("link_lost", "the plugin closed the connection")),
    );
  }

  /** Ends it; the reason is told to the plugin, and is in the log. */
  end(reason: Fault): void {
    this.#ending.abort(reason);
  }

  /** Resolves when it has ended and nothing of it is left. Never throws. */
  async run(admission: Admission): Promise<void> {
    const { log, clock } = this.#deps;
    const startedAt = clock.elapsed();
    const about: Record<string, unknown> = { peer: this.#from };
    try {
      const tenantId = await this.#authenticate();
      about["tenant_id"] = tenantId;
      admission.tenant(tenantId);
      const registered = await this.#register();
      const installation = await this.#deps.installations.add(
        { tenantId, registered },
        {
          accepts: (pluginId) => admission.plugin(tenantId, pluginId),
          onReplaced: (runtimeId) => admission.replaces(runtimeId),
        },
        this.#ending.signal,
      );
      const { identifier, installationId, runtimeId } = installation;
      Object.assign(about, { plugin: identifier, installation_id: installationId, runtime_id: runtimeId });
      const ms = Math.round(clock.elapsed() - startedAt);
      log.info({ op: "debug.connect", ok: true, duration_ms: ms, ...about });
      admission.connected(installation);
      try {
        await this.#live(installation);
      } finally {
        await this.#remove(installation);
      }
    } catch (error) {
      this.#refuse(toFault(this.#ending.signal.aborted ? this.#ending.signal.reason : error), about);
    }
  }

  async #authenticate(): Promise<TenantId> {
    const { clock, settings, keys } = this.#deps;
    const late = () => new Fault("request_timeout", `no key came within ${settings.handshakeMs / 1000} s`);
    using deadline = new Deadline({ clock, ms: settings.handshakeMs, late }, this.#ending.signal);
    const key = parseHandshake(await this.#nextLine(deadline.signal));
    const tenantId = await waitOrAbort(keys.use(key), deadline.signal);
    if (tenantId !== undefined) return tenantId;
    throw new Fault("unauthorized", "the key is unknown or has expired: ask for a new one", {
      details: { field: "key", accepted: "a debugging key of a tenant" },
    });
  }

  async #register(): Promise<Registered> {
    const { clock, settings } = this.#deps;
    const late = () =>
      new Fault("request_timeout", `the registration did not end within ${settings.registrationMs / 1000} s`);
    using deadline = new Deadline({ clock, ms: settings.registrationMs, late }, this.#ending.signal);
    this.#lines.bytesMax = DECLARATION_BYTES_MAX;
    const registration = new Registration();
    for (;;) {
      const registered = registration.take(await this.#nextLine(deadline.signal));
      if (registered !== undefined) return registered;
    }
  }

  /** Reads no further than to the end of the line. */
  async #nextLine(signal: AbortSignal): Promise<Buffer> {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    this.#onLine = (line) => {
      this.#lines.pause();
      resolve(line);
    };
    this.#lines.resume();
    return await waitOrAbort(promise, signal);
  }

  /** Rejects with the reason of the end. */
  async #live({ runtimeId, poolKey, folder }: DebugInstallation): Promise<never> {
    const { clock, logs } = this.#deps;
    const { signal } = this.#ending;
    await using pluginLog = await PluginLog.open({ ...logs, poolKey, runtimeId, clock });
    const heartbeat = { at: clock.elapsed() };
    const relay = await this.#openRelay(folder, {
      onHeartbeat: () => {
        heartbeat.at = clock.elapsed();
      },
      onOutput: (text) => pluginLog.write(text),
    });
    try {
      pluginLog.write(`[berth] connected from ${this.#from}`);
      relay.start();
      await this.#watch(heartbeat);
      throw signal.reason;
    } finally {
      relay.end();
      pluginLog.write(`[berth] disconnected: ${toFault(signal.reason).message}`);
    }
  }

  /** Where the store is away, the rows are compared with the connections until they are gone. */
  async #remove({ runtimeId }: DebugInstallation): Promise<void> {
    const { installations, log } = this.#deps;
    await installations
      .remove(runtimeId)
      .catch((error: unknown) =>
        log.warn({ op: "debug.disconnect", ok: false, runtime_id: runtimeId, err: toFault(error) }),
      );
  }

  async #openRelay(
    folder: string,
    on: Pick<ConstructorParameters<typeof Relay>[0], "onHeartbeat" | "onOutput">,
  ): Promise<Relay> {
    const key = await RunnerKey.find(folder);
    if (key === undefined) throw new Error(`the key of ${folder} is gone`);
    const relay = new Relay({
      folder,
      key,
      ...on,
      toPeer: (lines) => {
        this.#socket.write(lines);
        return this.#socket.writableLength < PEER_WAITING_BYTES_MAX;
      },
      holdPeer: (held) => (held ? this.#lines.pause() : this.#lines.resume()),
    });
    this.#socket.on("drain", () => relay.peerDrained());
    this.#lines.bytesMax = this.#deps.settings.frameBytesMax;
    this.#onLine = (line) => relay.takeLine(line);
    this.#onTooLong = (start, bytesMax) => relay.takeTooLong(start, bytesMax);
    this.#lines.resume();
    return relay;
  }

  /** Resolves when the connection ends, and ends it when the plugin is silent. */
  async #watch(heartbeat: { readonly at: number }): Promise<void> {
    const { clock, settings } = this.#deps;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await clock.sleep(settings.silenceMs / SILENCE_CHECKS, signal).catch(() => undefined);
      if (clock.elapsed() - heartbeat.at >= settings.silenceMs)
        this.end(new Fault("plugin_unhealthy", `no heartbeat came for ${settings.silenceMs / 1000} s`));
    }
  }

  #refuse(fault: Fault, about: object): void {
    const { log } = this.#deps;
    const { code, message } = fault;
    const wasConnected = "runtime_id" in about;
    const op = wasConnected ? "debug.disconnect" : "debug.refuse";
    const isExpected = wasConnected || fault.rule.log !== "error";
    log[isExpected ? "info" : "error"]({ op, ok: wasConnected, code, ...about, why: message });
    this.#lines.stop();
    sayLast(this.#socket, code === "internal" ? "Berth failed; its log says how" : message);
  }
}
