/**
 * How a route is declared: its name, who may use it, its input. One declaration drives the routing, the checks before
 * the handler, and the OpenAPI document, so that they cannot disagree.
 */
import { OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Actor } from "../domain/audit.ts";
import { Fault, type FaultCode, toFault } from "../domain/fault.ts";
import { TenantId } from "../domain/ids.ts";
import { parseInput } from "../domain/input.ts";
import type { Keyring, Principal } from "../keys/keyring.ts";
import type { Log } from "../observe/log.ts";
import { answerInTime } from "./answers/answer-in-time.ts";
import { faultResponse } from "./answers/fault-response.ts";
import type { DoorLife } from "./door-life.ts";
import { type HttpEnv, requestId } from "./env.ts";
import { authenticate, authorize } from "./middleware/authenticate.ts";
import { checkContentLength, checkContentType, readBytes } from "./middleware/body.ts";
import { parseJsonObject } from "./middleware/json-body.ts";
import { documentRoute } from "./openapi.ts";
import type { RouteRow, RouteSpec } from "./route-spec.ts";

/** What a handler gets: parsed input, and the principal that was authorised for it. */
export interface RouteInput<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** On public routes, which need no key, a principal without any rights. */
  readonly principal: Principal;
  /** The same principal, for audit events. */
  readonly by: Actor;
  readonly requestId: string;
  readonly request: Request;
  readonly header: (name: string) => string | undefined;
  /** Aborts when the caller leaves, the answer is late, or the process stops and its grace period is over. */
  readonly signal: AbortSignal;
  /** For endless streams: aborts when the caller leaves or the process begins to stop. */
  readonly streamSignal: AbortSignal;
  readonly context: Context<HttpEnv>;
}

export interface RoutesOptions {
  readonly keyring: Pick<Keyring, "find">;
  readonly log: Log;
  readonly life: DoorLife;
  readonly settings: { readonly jsonBytesMax: number; readonly answerTimeoutMs: number };
  /** The Dify door's answer to an unknown path; undefined where the path is not the daemon's. */
  readonly notFound?: (c: Context<HttpEnv>) => Response | undefined;
}

/** What the log records of a request beside its answer. */
interface Seen {
  keyId: string | undefined;
  code: FaultCode | undefined;
}

const NOBODY: Principal = {
  keyId: "public",
  name: "public",
  tenantId: undefined,
  scopes: [],
  isAdmin: false,
};

/**
 * The routes of the native API. `add` checks key, tenant and input before the handler, answers faults, and logs one
 * line per request.
 */
export class Routes {
  readonly app = new OpenAPIHono<HttpEnv>();
  readonly options: RoutesOptions;
  readonly #methods = new Map<string, string[]>();
  readonly #table: RouteRow[] = [];

  constructor(options: RoutesOptions) {
    this.options = options;
    this.app.notFound((c) => {
      const elsewhere = options.notFound?.(c);
      if (elsewhere !== undefined) return elsewhere;
      const fault = new Fault(
        "not_found",
        `There is no route ${c.req.path}; /openapi.json lists all routes.`,
      );
      return faultResponse(fault, requestId(c.req.header("x-request-id")));
    });
    this.app.onError((error, c) => this.#refuse(c, requestId(c.req.header("x-request-id")), error));
  }

  add<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
    spec: RouteSpec<P, Q, B>,
    handle: (input: RouteInput<z.output<P>, z.output<Q>, z.output<B>>) => Promise<Response> | Response,
  ): void {
    this.document(spec);
    const pattern = spec.pattern ?? honoPattern(spec.path);
    this.on(spec.method, pattern, async (c) => {
      const startedAt = performance.now();
      const id = requestId(c.req.header("x-request-id"));
      const seen: Seen = { keyId: undefined, code: undefined };
      const { answerTimeoutMs = this.options.settings.answerTimeoutMs } = spec;
      const { life } = this.options;
      const answer = await answerInTime({ c, life, answerTimeoutMs }, (late) =>
        this.#answer(spec, handle, c, { id, late, seen }),
      ).catch((error: unknown) => {
        seen.code = toFault(error).code;
        return this.#refuse(c, id, error);
      });
      answer.headers.set("x-request-id", id);
      this.#log(spec, c, { id, seen, status: answer.status, startedAt });
      return answer;
    });
  }

  /** Adds a handler without any checks; it answers and logs by itself. */
  on(method: string, pattern: string, handler: (c: Context<HttpEnv>) => Promise<Response> | Response): void {
    this.app.on(method.toUpperCase(), pattern, handler);
    this.#methods.set(pattern, [...(this.#methods.get(pattern) ?? []), method.toUpperCase()]);
  }

  /** Adds a GET that is not logged: somebody asks every few seconds, or the answer never changes. */
  unlogged(pattern: string, handler: () => Promise<Response> | Response): void {
    this.on("get", pattern, async (c) => {
      const answer = await handler();
      answer.headers.set("x-request-id", requestId(c.req.header("x-request-id")));
      return answer;
    });
  }

  /** Every documented route, which includes every route that `add` made. */
  get table(): readonly RouteRow[] {
    return this.#table;
  }

  /** Every served pattern in Hono's syntax, with its methods. */
  get served(): ReadonlyMap<string, readonly string[]> {
    return this.#methods;
  }

  /** Makes known paths answer other methods with `method_not_allowed`. Must be called after the last route. */
  finish(): void {
    for (const [pattern, methods] of this.#methods) {
      this.app.all(pattern, (c) => {
        const fault = new Fault("method_not_allowed", `The method ${c.req.method} is not allowed here.`, {
          details: { field: "method", value: c.req.method, accepted: methods },
        });
        const answer = faultResponse(fault, requestId(c.req.header("x-request-id")));
        answer.headers.set("allow", methods.join(", "));
        return answer;
      });
    }
  }

  document<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(spec: RouteSpec<P, Q, B>): void {
    const { method, path, access } = spec;
    this.#table.push({ method, path, access });
    documentRoute(this.app.openAPIRegistry, spec);
  }

  async #answer<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
    spec: RouteSpec<P, Q, B>,
    handle: (input: RouteInput<z.output<P>, z.output<Q>, z.output<B>>) => Promise<Response> | Response,
    c: Context<HttpEnv>,
    { id, late, seen }: { readonly id: string; readonly late: AbortSignal; readonly seen: Seen },
  ): Promise<Response> {
    const { keyring, life } = this.options;
    const isPublic = spec.access === "public";
    const principal = isPublic ? NOBODY : authenticate(keyring, c.req.header("authorization"));
    seen.keyId = principal.keyId;
    const rawParams = c.req.param();
    const tenant: unknown = Reflect.get(rawParams, "tenant");
    const tenantId = tenant === undefined ? undefined : parseInput(TenantId, tenant, "tenant");
    if (!isPublic) authorize(principal, spec.access, tenantId);
    const params = parseInput<z.ZodType>(spec.params ?? z.unknown(), rawParams) as z.output<P>;
    const query = parseInput<z.ZodType>(spec.query ?? z.unknown(), c.req.query()) as z.output<Q>;
    const body = (spec.body === undefined ? undefined : await this.#readBody(spec.body, c)) as z.output<B>;
    return await handle({
      params,
      query,
      body,
      principal,
      by: { keyId: principal.keyId, keyName: principal.name, requestId: id },
      requestId: id,
      request: c.req.raw,
      header: (name) => c.req.header(name),
      signal: AbortSignal.any([c.req.raw.signal, late, life.requests]),
      streamSignal: AbortSignal.any([c.req.raw.signal, life.streams]),
      context: c,
    });
  }

  async #readBody(schema: z.ZodType, c: Context<HttpEnv>): Promise<unknown> {
    const { jsonBytesMax } = this.options.settings;
    checkContentType(c.req.header("content-type"), ["application/json"]);
    checkContentLength(c.req.header("content-length"), jsonBytesMax);
    return parseInput(schema, parseJsonObject(await readBytes(c.req.raw.body, jsonBytesMax)));
  }

  #refuse(c: Context<HttpEnv>, id: string, error: unknown): Response {
    const fault = toFault(error);
    // the wide event has the code; an error that is not the caller's needs its cause in the log as well
    if (fault.rule.status >= 500) {
      this.options.log[fault.rule.log]({
        op: "http.failure",
        request_id: id,
        path: c.req.path,
        code: fault.code,
        err: fault,
      });
    }
    return faultResponse(fault, id);
  }

  #log(
    spec: { method: string; path: string },
    c: Context<HttpEnv>,
    { id, seen, status, startedAt }: { id: string; seen: Seen; status: number; startedAt: number },
  ): void {
    this.options.log.info({
      op: "http.request",
      ok: status < 400,
      ...(seen.code !== undefined && { code: seen.code }),
      ...(seen.keyId !== undefined && { key_id: seen.keyId }),
      method: spec.method,
      route: spec.path,
      path: c.req.path,
      status,
      duration_ms: Math.round(performance.now() - startedAt),
      request_id: id,
    });
  }
}

export function honoPattern(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}
