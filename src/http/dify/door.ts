/**
 * The door of platforms that know dify-plugin-daemon: its paths, its keys, its envelopes. It owns no state and no rule:
 * each route binds its input, calls the same use cases as `/v1` and says what they answer in the daemon's words.
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
  /** What `X-Api-Key` must hold; undefined: the door is closed. */
  readonly key: string | undefined;
  /** What `X-Admin-Api-Key` must hold; undefined: there are no admin routes. */
  readonly adminKey: string | undefined;
  readonly jsonBytesMax: number;
  readonly answerTimeoutMs: number;
}

/** `key`: the platform's. `open`: whoever knows the address. */
export type Gate = "key" | "admin" | "open";

export interface DifyRoute<T> {
  readonly method: "GET" | "POST";
  /** As Hono matches it; the tenant is `:tenant_id`. */
  readonly path: string;
  readonly gate: Gate;
  /** Query, body and path parameters together. */
  readonly input: Shape<T>;
  /** Of errors past the gates and the binding: 200, the envelope tells them apart. */
  readonly errorStatus?: number;
}

export interface DifyInput<T> {
  readonly input: T;
  /** Of the path; to ask for it on a route without one is a mistake of the route. */
  readonly tenantId: TenantId;
  readonly by: Actor;
  readonly requestId: string;
  /** Aborts when the caller leaves, the answer takes too long, or the process stops and cannot wait any longer. */
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

/** Beginnings of the paths that are the daemon's: what is none of its routes is answered as it does. */
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
  "This is a path of dify-plugin-daemon's API, which is answered where BERTH_DIFY_KEY, or its own name SERVER_KEY, is set.";
const NO_ROUTE = '{"code":"not_found","message":"route not found"}';

export class DifyDoor {
  readonly options: DifyDoorOptions;
  readonly #table: DifyRow[] = [];

  constructor(options: DifyDoorOptions) {
    this.options = options;
  }

  /** Every route there is: what tests hold against the daemon's. */
  get table(): readonly DifyRow[] {
    return this.#table;
  }

  /** The handler answers `data` of the envelope, or a whole Response. Refusals are Faults. */
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
        ...{ op: "http.request", ok: seen.code === undefined, code: seen.code, method: route.method },
        ...{ route: route.path, path: c.req.path, status: answer.status, request_id: id },
        duration_ms: Math.round(performance.now() - startedAt),
      });
      return answer;
    });
  }

  /** A handler that opens the gate, answers and logs by itself. */
  on(row: DifyRow, handler: (c: Context<HttpEnv>) => Promise<Response> | Response): void {
    this.#table.push({ method: row.method, path: row.path, gate: row.gate });
    this.options.routes.app.on(row.method, row.path, handler);
  }

  /** Throws where the request does not open it, with status 401. */
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
        ...{ op: "http.failure", request_id: id, path: c.req.path, code: fault.code, err: fault },
      });
    return failureResponse(toDaemonError(fault), status);
  }

  /** A refusal of a path that is the daemon's, in its words; undefined for any other. */
  refusePath(path: string, fault: Fault, id: string): Response | undefined {
    if (!PREFIXES.some((prefix) => path.startsWith(prefix))) return undefined;
    const answer = failureResponse(toDaemonError(fault), fault.rule.status);
    answer.headers.set("x-request-id", id);
    return answer;
  }

  /** The answer to a path that is the daemon's and none of its routes; undefined for any other. */
  notFound(c: Context<HttpEnv>): Response | undefined {
    const { path, method } = c.req;
    if (!PREFIXES.some((prefix) => path.startsWith(prefix))) return undefined;
    if (this.options.settings.key === undefined && !path.startsWith("/e/"))
      return faultResponse(new Fault("not_found", CLOSED), requestId(c.req.header("x-request-id")));
    const other = path.endsWith("/") ? path.slice(0, -1) : `${path}/`;
    if (!this.#isServed(method, other)) return jsonResponse(404, NO_ROUTE);
    // the method and the body are kept, but for a GET, which has none
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

/** The daemon's database would have refused it, in these words. */
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
