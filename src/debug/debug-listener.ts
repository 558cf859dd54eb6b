/**
 * The debug port: takes connections of plugins that their authors run, within bounds on all of them together and on each
 * tenant. Where a certificate is set it takes TLS alone, and says so to whoever speaks without.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type SecureContext, TLSSocket } from "node:tls";
import { Fault, toFault } from "../domain/fault.ts";
import type { RuntimeId, TenantId } from "../domain/ids.ts";
import { INSTALLATIONS_TOPIC } from "../invocation/installation-directory.ts";
import { Outage } from "../observe/outage.ts";
import type { Queue } from "../queue/queue.ts";
import type { Store } from "../store/store.ts";
import { repeat } from "../util/clock.ts";
import { Deadline } from "../util/deadline.ts";
import { errorCode } from "../util/error-code.ts";
import { Refresh } from "../util/refresh.ts";
import { Scope } from "../util/scope.ts";
import type { DebugInstallation, DebugInstallations } from "./debug-installations.ts";
import { firstByte, TLS_BYTE } from "./first-byte.ts";
import { type Admission, PluginConnection, type PluginConnectionDeps } from "./plugin-connection.ts";
import { sayLast } from "./say-last.ts";
import { PASS_MS, STRANGERS_MAX } from "./settings.ts";

export interface DebugListenerDeps extends PluginConnectionDeps {
  readonly store: { readonly debug: Pick<Store["debug"], "listOfProcess"> };
  readonly installations: DebugInstallations;
  readonly queue: Pick<Queue, "subscribe">;
  readonly host: string;
  /** 0: any free port, see `port`. */
  readonly port: number;
  readonly tls: SecureContext | undefined;
  readonly processId: string;
}

/** Disposing it closes every connection; the installations of its plugins go with them. */
export interface DebugListener extends AsyncDisposable {
  /** Undefined while another process of this host has the port. */
  readonly port: number | undefined;
}

interface Open {
  end: (reason: Fault) => void;
  tenantId: TenantId | undefined;
  installation: DebugInstallation | undefined;
}

const RELISTEN_MS = 1_000;

/** Resolves when it listens, or when another process has the port: then this one takes it over once it is free. */
export async function startDebugListener(deps: DebugListenerDeps): Promise<DebugListener> {
  const listener = new Listener(deps);
  try {
    await listener.start();
  } catch (error) {
    await listener[Symbol.asyncDispose]();
    throw error;
  }
  return listener;
}

class Listener implements DebugListener {
  readonly #deps: DebugListenerDeps;
  readonly #scope = new Scope();
  readonly #open = new Set<Open>();
  readonly #ended = new Set<Promise<void>>();
  readonly #passes: Refresh;
  #server: Server | undefined;
  /** For the port, which another process has. */
  #isWaiting = false;

  constructor(deps: DebugListenerDeps) {
    this.#deps = deps;
    this.#passes = new Refresh(() => this.#pass());
  }

  get port(): number | undefined {
    return (this.#server?.address() as AddressInfo | null | undefined)?.port;
  }

  async start(): Promise<void> {
    const { queue, clock, log } = this.#deps;
    const { signal } = this.#scope;
    await this.#listen();
    const outage = new Outage(log, "debug.pass");
    const pass = () => outage.run(() => this.#passes.run());
    this.#scope.use(await queue.subscribe(INSTALLATIONS_TOPIC, () => void pass().catch(() => undefined)));
    const passing = repeat({ clock, everyMs: PASS_MS }, pass, signal);
    const listening = repeat({ clock, everyMs: RELISTEN_MS }, () => this.#listenAgain(), signal);
    this.#scope.add(async () => void (await Promise.all([passing, listening, this.#passes.settled()])));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reason = new Fault("shutting_down", "Berth is stopping");
    this.#server?.close();
    for (const open of this.#open) open.end(reason);
    await Promise.all(this.#ended);
    await this.#scope.close(reason);
  }

  async #listen(): Promise<void> {
    const { host, port, log } = this.#deps;
    const server = createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket));
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, resolve);
      });
    } catch (error) {
      if (errorCode(error) !== "EADDRINUSE") throw unusable(host, port, error);
      if (!this.#isWaiting)
        log.warn(
          { op: "debug.listen", ok: false, host, port },
          "Another process has the debug port; waiting for it",
        );
      this.#isWaiting = true;
      return;
    }
    server.on("error", (error) => log.warn({ op: "debug.accept", ok: false, err: toFault(error) }));
    this.#server = server;
    log.info({ op: "debug.listen", ok: true, host, port: this.port, tls: this.#deps.tls !== undefined });
  }

  async #listenAgain(): Promise<void> {
    if (this.#server === undefined)
      await this.#listen().catch((error: unknown) =>
        this.#deps.log.error({ op: "debug.listen", ok: false, err: toFault(error) }),
      );
  }

  #accept(raw: Socket): void {
    raw.on("error", () => undefined);
    const strangers = [...this.#open].filter(({ tenantId }) => tenantId === undefined).length;
    const { connectionsMax } = this.#deps.settings;
    if (this.#open.size >= connectionsMax)
      this.#turnAway(raw, `there are ${connectionsMax} connections already`);
    else if (strangers >= STRANGERS_MAX) this.#turnAway(raw, "too many connections without a key; retry");
    else this.#admit(raw);
  }

  #admit(raw: Socket): void {
    const end = () => void raw.destroy();
    const open: Open = { end, tenantId: undefined, installation: undefined };
    this.#open.add(open);
    const ended = this.#serve(raw, open).finally(() => {
      this.#open.delete(open);
      this.#ended.delete(ended);
    });
    this.#ended.add(ended);
  }

  async #serve(raw: Socket, open: Open): Promise<void> {
    const socket = await this.#secured(raw);
    if (socket === undefined) return;
    const connection = new PluginConnection(socket, this.#deps);
    open.end = (reason) => connection.end(reason);
    await connection.run(this.#admission(open));
  }

  /** Undefined where it speaks TLS and this port does not, or the other way round: it is turned away. */
  async #secured(raw: Socket): Promise<Socket | undefined> {
    const { tls, clock, settings } = this.#deps;
    using deadline = new Deadline({ clock, ms: settings.handshakeMs });
    const byte = await firstByte(raw, deadline.signal).catch(() => undefined);
    if (byte === undefined) {
      this.#turnAway(raw, `no key came within ${settings.handshakeMs / 1000} s`);
      return undefined;
    }
    const isTls = byte === TLS_BYTE;
    if (isTls && tls !== undefined) return new TLSSocket(raw, { isServer: true, secureContext: tls });
    if (!isTls && tls === undefined) return raw;
    this.#turnAway(
      raw,
      isTls ? "this port does not speak TLS" : "this port accepts TLS only: connect through a tunnel",
    );
    return undefined;
  }

  #turnAway(socket: Socket, why: string): void {
    const peer = `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
    this.#deps.log.info({ op: "debug.refuse", ok: false, code: "malformed_request", peer, why });
    sayLast(socket, why);
  }

  #admission(open: Open): Admission {
    const { tenantConnectionsMax: max } = this.#deps.settings;
    const ofTenant = (tenantId: TenantId) => [...this.#open].filter((one) => one.tenantId === tenantId);
    return {
      tenant: (tenantId) => {
        const registering = ofTenant(tenantId).filter(({ installation }) => installation === undefined);
        if (registering.length >= max) throw tooMany(max);
        open.tenantId = tenantId;
      },
      plugin: (tenantId, pluginId) => {
        const others = ofTenant(tenantId).filter(
          ({ installation }) => installation !== undefined && installation.pluginId !== pluginId,
        );
        if (others.length >= max) throw tooMany(max);
      },
      replaces: (runtimeId) => this.#endOf(runtimeId, replaced()),
      connected: (installation) => {
        open.installation = installation;
      },
    };
  }

  #endOf(runtimeId: RuntimeId, reason: Fault): void {
    for (const { end, installation } of this.#open) if (installation?.runtimeId === runtimeId) end(reason);
  }

  /** Compares connections and rows: either may have gone without the other. */
  async #pass(): Promise<void> {
    const { store, processId, installations } = this.#deps;
    const before = [...this.#open].flatMap(({ installation }) => installation ?? []);
    const rows = await store.debug.listOfProcess(processId);
    const installed = new Map(rows.map((row) => [row.runtimeId, row.isInstalled]));
    for (const { runtimeId } of before) {
      const isInstalled = installed.get(runtimeId);
      if (isInstalled === false) this.#endOf(runtimeId, new Fault("cancelled", "the plugin was uninstalled"));
      if (isInstalled === undefined) this.#endOf(runtimeId, rowless());
    }
    for (const { runtimeId } of rows)
      if (!installations.isOpen(runtimeId)) await installations.remove(runtimeId);
  }
}

function replaced(): Fault {
  return new Fault("cancelled", "a newer connection of this plugin has taken its place");
}

function rowless(): Fault {
  return new Fault(
    "cancelled",
    "its installation is gone: a newer connection over another process, or a long outage of the database",
  );
}

function tooMany(max: number): Fault {
  return new Fault("busy", `the tenant has ${max} plugins connected already`, {
    details: { field: "connections", value: max, accepted: `at most ${max} for each tenant` },
  });
}

function unusable(host: string, port: number, cause: unknown): Fault {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Fault("config_invalid", `The debug port cannot be opened at ${host}:${port}: ${why}`, {
    details: { field: "BERTH_DEBUG_HOST, BERTH_DEBUG_PORT", value: `${host}:${port}` },
    cause,
  });
}
