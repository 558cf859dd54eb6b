/**
 * The door for platforms that speak to dify-plugin-daemon: its paths, its keys, its envelopes. It has no state and no
 * rules of its own: each route binds its input, calls the use cases that `/v1` calls, and answers in the daemon's
 * words.
 */
import { timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import type { Actor } from "../../domain/audit.ts";
import { Fault, type FaultCode, toFault } from "../../domain/fault.ts";
import { TenantId } from "../../domain/ids.ts";
import type { Log } from "../../observe/log.ts";
import { answerInTime } from "../answers/answer-in-time.ts";
import { faultResponse } from "../answers/fault-response.ts";
import type { DoorLife } from "../door-life.ts";
import { type HttpEnv, requestId } from "../env.ts";
import type { Routes } from "../route.ts";
import { bind, statusOf } from "./bind.ts";
import { failureResponse, jsonResponse, successResponse } from "./envelope.ts";
import { notUuid, refusal, toDaemonError } from "./errors.ts";
import type { Shape } from "./wire/shape.ts";

export interface DifyDoorSettings {
  /** The value that `X-Api-Key` must have; undefined: the door is closed. */
  readonly key: string | undefined;
  /** The value that `X-Admin-Api-Key` must have; undefined: there are no admin routes. */
  readonly adminKey: string | undefined;
  readonly jsonBytesMax: number;
  readonly answerTimeoutMs: number;
}

/** `key`: the platform's key. `open`: none; the address is the secret. */
export type Gate = "key" | "admin" | "open";

export interface DifyRoute<T> {
  readonly method: "GET" | "POST";
  /** In Hono's syntax; the tenant is `:tenant_id`. */
  readonly path: string;
  readonly gate: Gate;
  /** Query, body and path parameters together. */
  readonly input: Shape<T>;
  /** Status of errors after gates and binding. 200 by default: the envelope tells errors apart. */
  readonly errorStatus?: number;
}

export interface DifyInput<T> {
  readonly input: T;
  /** From the path. Reading it on a route without one throws. */
  readonly tenantId: TenantId;
  readonly by: Actor;
  readonly requestId: string;
  /** Aborts when the caller leaves, the answer is late, or the process stops and its grace period is over. */
  readonly signal: AbortSignal;
  readonly context: Context<HttpEnv>;
}

export interface DifyDoorOptions {
  readonly routes: Routes;
  readonly life: DoorLife;
  readonly log: Log;
  readonly settings: DifyDoorSettings;
}

export interface DifyRow {
  readonly method: string;
  readonly path: string;
  readonly gate: Gate;
}

/** Prefixes of the daemon's paths: other requests below them get the daemon's 404. */
const PREFIXES = [
  "/plugin/",
  "/v2/",
  "/admin/",
  "/e/",
  "/debug/",
  "/backwards-invocation/",
  "/metrics",
  "/health/check",
];
const CLOSED =
  "This path belongs to dify-plugin-daemon's API. To serve it, set BERTH_DIFY_KEY or SERVER_KEY.";
const NO_ROUTE = '{"code":"not_found","message":"route not found"}';

export class DifyDoor {
  readonly options: DifyDoorOptions;
  readonly #table: DifyRow[] = [];

  constructor(options: DifyDoorOptions) {
    this.options = options;
  }

  /** Every route; tests compare it with the daemon's routes. */
  get table(): readonly DifyRow[] {
    return this.#table;
  }

  /** The handler returns the envelope's `data`, or a whole Response. It refuses by throwing a fault. */
  add<T>(route: DifyRoute<T>, handle: (input: DifyInput<T>) => Promise<unknown> | unknown): void {
    this.on(route, async (c) => {
      const startedAt = performance.now();
      const id = requestId(c.req.header("x-request-id"));
      const { life, settings } = this.options;
      const seen: { code: FaultCode | undefined } = { code: undefined };
      const answer = await answerInTime({ c, life, ...settings }, (late) =>
        this.#answer(route, handle, c, { id, late }),
      ).catch((error: unknown) => {
        seen.code = toFault(error).code;
        return this.refuse(c, error, { id, errorStatus: route.errorStatus ?? 200 });
      });
      answer.headers.set("x-request-id", id);
      this.options.log.info({
        op: "http.request",
        ok: seen.code === undefined,
        code: seen.code,
        method: route.method,
        route: route.path,
        path: c.req.path,
        status: answer.status,
        request_id: id,
        duration_ms: Math.round(performance.now() - startedAt),
      });
      return answer;
    });
  }

  /** Adds a handler that checks the gate, answers and logs by itself. */
  on(row: DifyRow, handler: (c: Context<HttpEnv>) => Promise<Response> | Response): void {
    this.#table.push({ method: row.method, path: row.path, gate: row.gate });
    this.options.routes.app.on(row.method, row.path, handler);
  }

  /** Throws, with status 401, where the request does not carry the gate's key. */
  openGate(gate: Gate, header: (name: string) => string | undefined): void {
    const { key, adminKey } = this.options.settings;
    if (gate === "open") return;
    const [given, wanted] =
      gate === "key" ? [header("x-api-key"), key] : [header("x-admin-api-key"), adminKey];
    if (given !== undefined && wanted !== undefined && isSame(given, wanted)) return;
    throw refusal("PluginDaemonUnauthorizedError", "unauthorized", 401);
  }

  refuse(
    c: Context<HttpEnv>,
    error: unknown,
    { id, errorStatus }: { readonly id: string; readonly errorStatus: number },
  ): Response {
    const fault = toFault(error);
    const status = statusOf(fault, errorStatus);
    if (fault.rule.status >= 500)
      this.options.log[fault.rule.log]({
        op: "http.failure",
        request_id: id,
        path: c.req.path,
        code: fault.code,
        err: fault,
      });
    return failureResponse(toDaemonError(fault), status);
  }

  /** The refusal, in the daemon's words, of a path that is the daemon's; undefined for any other. */
  refusePath(path: string, fault: Fault, id: string): Response | undefined {
    if (!PREFIXES.some((prefix) => path.startsWith(prefix))) return undefined;
    const answer = failureResponse(toDaemonError(fault), fault.rule.status);
    answer.headers.set("x-request-id", id);
    return answer;
  }

  /** The answer to a path that is the daemon's but has no route; undefined for any other. */
  notFound(c: Context<HttpEnv>): Response | undefined {
    const { path, method } = c.req;
    if (!PREFIXES.some((prefix) => path.startsWith(prefix))) return undefined;
    if (this.options.settings.key === undefined && !path.startsWith("/e/"))
      return faultResponse(new Fault("not_found", CLOSED), requestId(c.req.header("x-request-id")));
    const other = path.endsWith("/") ? path.slice(0, -1) : `${path}/`;
    if (!this.#isServed(method, other)) return jsonResponse(404, NO_ROUTE);
    // a redirect must keep method and body, except for a GET, which has none
    const { search } = new URL(c.req.url);
    return new Response(null, {
      status: method === "GET" ? 301 : 307,
      headers: { location: other + search },
    });
  }

  #isServed(method: string, path: string): boolean {
    const [handlers] = this.options.routes.app.router.match(method, path);
    return handlers.length > 0;
  }

  async #answer<T>(
    route: DifyRoute<T>,
    handle: (input: DifyInput<T>) => Promise<unknown> | unknown,
    c: Context<HttpEnv>,
    { id, late }: { readonly id: string; readonly late: AbortSignal },
  ): Promise<Response> {
    const { life, settings } = this.options;
    this.openGate(route.gate, (name) => c.req.header(name));
    const input = await bind(c, route.input, settings.jsonBytesMax);
    const data = await handle({
      input,
      get tenantId() {
        return tenantOf(c.req.param("tenant_id"));
      },
      by: { keyId: "platform", keyName: "platform", requestId: id },
      requestId: id,
      signal: AbortSignal.any([c.req.raw.signal, late, life.requests]),
      context: c,
    });
    return data instanceof Response ? data : successResponse(data);
  }
}

/** Throws the daemon's database error for an id that is not a UUID. */
export function tenantOf(given: string | undefined, status?: number): TenantId {
  const parsed = TenantId.safeParse(given);
  if (parsed.success) return parsed.data;
  const text = notUuid(given ?? "");
  throw refusal("PluginDaemonInternalServerError", text, status);
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
