/** Which server a command speaks to, for which tenant, and with which key. */

import type { Env } from "../../config/environment.ts";
import { Fault, invalidInput } from "../../domain/fault.ts";
import { nearest } from "../../util/nearest.ts";
import { type Client, createClient } from "../client.ts";
import { readContexts } from "./context-file.ts";

/** What a command line says about the server. */
export interface ServerOptions {
  readonly context?: string | undefined;
  readonly tenant?: string | undefined;
}

export interface Server {
  readonly url: string;
  readonly key: string;
  /** Undefined where nothing names one. */
  readonly tenant: string | undefined;
  /** What named the server, for messages. */
  readonly origin: string;
}

const ASK_MS_MAX = 60_000;

/**
 * The first of: `--context`, `BERTH_URL` with `BERTH_KEY`, `BERTH_CONTEXT`, the current context, the Berth on this
 * machine with the same settings. The tenant is the first of: `--tenant`, `BERTH_TENANT`, that of the context.
 * Undefined where nothing names a server. Throws `invalid_input` for an unknown context.
 */
export async function findServer(env: Env, options: ServerOptions): Promise<Server | undefined> {
  const named = await findNamedServer(env, options);
  if (named !== undefined) return named;
  const { current: context } = await readContexts(env);
  if (context !== undefined) return await findNamedServer(env, { ...options, context });
  return await findLocal(env, tenantIn(env, options));
}

/** The same, where the command line or the environment names the server. */
export async function findNamedServer(env: Env, options: ServerOptions): Promise<Server | undefined> {
  const tenant = tenantIn(env, options);
  const url = given(env, "BERTH_URL");
  if (options.context === undefined && url !== undefined) {
    const key = given(env, "BERTH_KEY");
    if (key === undefined)
      throw invalidInput("BERTH_KEY", undefined, "the key of the server that BERTH_URL names");
    return { url: parseServerUrl("BERTH_URL", url), key, tenant, origin: "BERTH_URL" };
  }
  const name = options.context ?? given(env, "BERTH_CONTEXT");
  if (name === undefined) return undefined;
  const { contexts } = await readContexts(env);
  const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (found === undefined) throw unknownContext(name, Object.keys(contexts));
  return { ...found, tenant: tenant ?? found.tenant, origin: `context ${name}` };
}

/** A client of the server that `findServer` finds. Throws `config_invalid` where nothing names one. */
export async function openServer(env: Env, options: ServerOptions): Promise<Client & { server: Server }> {
  const server = await findServer(env, options);
  if (server === undefined)
    throw new Fault(
      "config_invalid",
      "No server is named: run berth login URL once, or set BERTH_URL and BERTH_KEY.",
    );
  const advice = `the address is that of ${server.origin}`;
  return { ...createClient({ ...server, timeoutMs: ASK_MS_MAX, advice }), server };
}

/** Throws `invalid_input` where nothing names a tenant. */
export function tenantOf({ tenant }: Server): string {
  if (tenant === undefined)
    throw invalidInput("--tenant", undefined, "the id of a tenant, here, in BERTH_TENANT or in the context");
  return encodeURIComponent(tenant);
}

/** Throws `invalid_input` for anything but the address of an HTTP server. */
export function parseServerUrl(field: string, text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "")
    throw invalidInput(field, text, "the address of a Berth, as http://127.0.0.1:5002");
  return url.href.replace(/\/+$/, "");
}

export function unknownContext(name: string, names: readonly string[]): Fault {
  const near = nearest(name, names, { max: 1, distanceMax: Math.ceil(name.length / 3) });
  const accepted = [...near, ...names.filter((it) => !near.includes(it))].join(", ");
  return invalidInput("context", name, accepted === "" ? "none: run berth login URL" : accepted);
}

/** The Berth that runs here with the same settings, if one has run. */
async function findLocal(env: Env, tenant: string | undefined): Promise<Server | undefined> {
  const [{ readConfig }, { findAdminKey, urlOf }] = await Promise.all([
    import("../../config.ts"),
    import("../instance.ts"),
  ]);
  const config = readConfig(env);
  const key = await findAdminKey(config);
  if (key === undefined || config.settings.BERTH_PORT === 0) return undefined;
  return { url: urlOf(config), key, tenant, origin: "the settings of this machine" };
}

function tenantIn(env: Env, { tenant }: ServerOptions): string | undefined {
  return tenant ?? given(env, "BERTH_TENANT");
}

function given(env: Env, name: string): string | undefined {
  return env[name] === "" ? undefined : env[name];
}
