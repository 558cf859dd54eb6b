/**
 * The public addresses of endpoints: `/e/<hook id>/...`. Like the routes of calls this is a warm path of its own: it
 * reads Node's request, writes Node's response, and logs one wide event at the end. The hook id is the secret of its
 * endpoint, so no log has it; no log has the path either, which may be a secret of the plugin's.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Context } from "hono";
import { Fault, type FaultCode, toFault } from "../../domain/fault.ts";
import type { Invocation } from "../../domain/invocation.ts";
import {
  formatRawRequest,
  type HookAddress,
  parseHookAddress,
  withSlash,
} from "../../endpoint/hooks/raw-request.ts";
import type { Hooks, OpenHook } from "../../endpoint/hooks/serve-hook.ts";
import type { Log } from "../../observe/log.ts";
import type { DifyDoor } from "../dify/door.ts";
import { failureText, jsonResponse } from "../dify/envelope.ts";
import type { DoorLife } from "../door-life.ts";
import { type HttpEnv, requestId } from "../env.ts";
import { BodyBudget, readHookBody } from "./hook-body.ts";
import { HookCaller } from "./hook-caller.ts";
import { hookFailure } from "./hook-failure.ts";

export interface HookSettings {
  /** Undefined: hooks are off. */
  readonly hookBodyBytesMax: number | undefined;
  /** Bytes of all hook requests that are on their way to a plugin. */
  readonly hookBodiesBytesMax: number;
}

export interface HookDeps {
  readonly hooks: Hooks;
  readonly life: DoorLife;
  readonly log: Log;
  readonly settings: HookSettings;
}

const METHODS = ["HEAD", "POST", "GET", "PUT", "DELETE", "OPTIONS"] as const;

/** Also where the Dify door is closed: endpoints can be set up over `/v1` as well. */
export function addHooks(door: DifyDoor, { hooks, life, log, settings }: HookDeps): void {
  const { hookBodyBytesMax } = settings;
  if (hookBodyBytesMax === undefined) return;
  const budget = new BodyBudget(settings.hookBodiesBytesMax);
  const serve = (c: Context<HttpEnv>) => {
    const { incoming, outgoing } = c.env;
    if (incoming === undefined || outgoing === undefined) throw new Error("hooks need Node's own server");
    const address = parseHookAddress(incoming.url ?? "");
    if (address === undefined) return c.notFound();
    const exchange = new Exchange(
      { hooks, life, log, bytesMax: hookBodyBytesMax, budget },
      incoming,
      outgoing,
    );
    return exchange.answer(address);
  };
  for (const method of METHODS) door.on({ method, path: "/e/:hook_id/*", gate: "open" }, serve);
}

interface ExchangeDeps {
  readonly hooks: Hooks;
  readonly life: DoorLife;
  readonly log: Log;
  readonly bytesMax: number;
  readonly budget: BodyBudget;
}

/** One request to a hook. */
class Exchange {
  readonly #deps: ExchangeDeps;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #startedAt = performance.now();
  readonly #id: string;
  #hook: OpenHook | undefined;
  #bytesIn = 0;

  constructor(deps: ExchangeDeps, incoming: IncomingMessage, outgoing: ServerResponse) {
    this.#deps = deps;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    const given = incoming.headers["x-request-id"];
    this.#id = requestId(typeof given === "string" ? given : undefined);
  }

  async answer(address: HookAddress | "malformed"): Promise<Response> {
    try {
      if (address === "malformed")
        throw new Fault("malformed_request", "The address has an invalid percent-escape.");
      if (address.path === "") return this.#redirect(withSlash(address));
      this.#hook = await this.#deps.hooks.open(address.hookId);
      await this.#send(this.#hook, address);
      return RESPONSE_ALREADY_SENT;
    } catch (error) {
      return this.#refuse(toFault(error));
    }
  }

  async #send(hook: OpenHook, address: HookAddress): Promise<void> {
    const incoming = this.#incoming;
    const { budget, bytesMax, life } = this.#deps;
    const body = await readHookBody(incoming, { bytesMax, budget });
    this.#bytesIn = body.length;
    try {
      const raw = formatRawRequest(
        {
          method: incoming.method ?? "GET",
          rawHeaders: incoming.rawHeaders,
          body,
          httpVersion: incoming.httpVersion,
          isTls: "encrypted" in incoming.socket,
        },
        address,
      );
      const gone = new AbortController();
      let invocation: Invocation | undefined;
      const onBroken = () => invocation?.detach();
      const caller = new HookCaller({ response: this.#outgoing, requestId: this.#id, onBroken });
      const onClose = () => {
        gone.abort(new Fault("cancelled", "The caller has left."));
        invocation?.detach();
        const left = this.#outgoing.writableFinished ? undefined : "cancelled";
        this.#log(this.#outgoing.statusCode, caller.code ?? left, caller.bytes);
      };
      const signal = AbortSignal.any([gone.signal, life.requests]);
      this.#outgoing.once("close", onClose);
      try {
        invocation = await hook.send({ raw, requestId: this.#id, signal }, caller);
      } catch (error) {
        caller.fail(toFault(error));
      }
    } finally {
      budget.release(body.length);
    }
  }

  /** For requests that no plugin has seen. */
  #refuse(fault: Fault): Response {
    const error = hookFailure(fault);
    if (error.status >= 500) {
      const { code } = fault;
      this.#deps.log[fault.rule.log]({ op: "http.failure", request_id: this.#id, code, err: fault });
    }
    this.#log(error.status, fault.code, 0);
    const answer = jsonResponse(error.status, failureText(error));
    answer.headers.set("x-request-id", this.#id);
    return answer;
  }

  #redirect(location: string): Response {
    const status = this.#incoming.method === "GET" ? 301 : 307;
    this.#log(status, undefined, 0);
    return new Response(null, { status, headers: { location, "x-request-id": this.#id } });
  }

  #log(status: number, code: FaultCode | undefined, bytes: number): void {
    const endpoint = this.#hook?.endpoint;
    this.#deps.log.info({
      op: "hook.serve",
      ok: code === undefined,
      code,
      method: this.#incoming.method,
      status,
      bytes_in: this.#bytesIn,
      bytes_out: bytes,
      request_id: this.#id,
      duration_ms: Math.round((performance.now() - this.#startedAt) * 100) / 100,
      tenant_id: endpoint?.tenantId,
      endpoint_id: endpoint?.id,
      plugin: this.#hook?.identifier,
    });
  }
}
