/**
 * Backwards calls: what a plugin asks of the host during a call. Each is checked against the permissions of the
 * plugin's own manifest, acts for the session's tenant only, and always gets an answer: a call that this Berth cannot
 * serve gets an error, not silence.
 */
import { Fault, invalidInput, toFault } from "../domain/fault.ts";
import { type HostCallFrame, type JsonText, readJson } from "../domain/frame.ts";
import type { TenantId } from "../domain/ids.ts";
import type { Invocation, InvocationRequest, InvocationSink } from "../domain/invocation.ts";
import { indexOperations } from "../domain/operations/operations.ts";
import type { Log } from "../observe/log.ts";
import type { HostStorage } from "../storage/plugin-storage.ts";
import { HOST_CALLS, type HostCallRequest, type HostCallRule, operationFields } from "./host-call-table.ts";
import type { InstallationDirectory } from "./installation-directory.ts";
import type { PluginCatalog } from "./plugin-catalog.ts";

/** The session that a backwards call comes from. */
export interface HostCallContext {
  readonly tenantId: TenantId;
  readonly catalog: PluginCatalog;
  readonly operationType: string;
  readonly userId: string;
  readonly requestId: string;
  readonly sessionId: string;
  readonly depth: number;
  /** Until the session's granted deadline. */
  readonly remainingMs: number;
  /** Aborts when the session ends. */
  readonly signal: AbortSignal;
  /** Writes a line to the plugin; does nothing once the session has ended. Throws `frame_too_large`. */
  readonly send: (line: string) => void;
}

export type NestedInvoke = (request: InvocationRequest, sink: InvocationSink, depth: number) => Invocation;

/** The use case of backwards calls, shared by all sessions. */
export interface HostCalls {
  /** Called once by the invoker, which runs calls to other plugins. */
  connect(
    invoke: NestedInvoke,
    installations: Pick<InstallationDirectory, "listOfTenant" | "boundsDisk">,
  ): void;
  /** Never throws; the answer goes to the plugin as lines. */
  serve(call: HostCallFrame, context: HostCallContext): void;
}

export interface HostCallsOptions {
  readonly storage: HostStorage;
  readonly log: Log;
  readonly settings: {
    /** Open at once, per session. */
    readonly openMax: number;
    /** Depth of nested calls: a plugin calls a plugin that calls a plugin. */
    readonly depthMax: number;
  };
}

export function createHostCalls(options: HostCallsOptions): HostCalls {
  return new BerthHostCalls(options);
}

interface Call extends HostCallFrame {
  readonly context: HostCallContext;
}

class BerthHostCalls implements HostCalls {
  readonly #options: HostCallsOptions;
  readonly #operations = indexOperations();
  readonly #open = new Map<string, number>();
  #invoke: NestedInvoke | undefined;
  #installations: Pick<InstallationDirectory, "listOfTenant" | "boundsDisk"> | undefined;

  constructor(options: HostCallsOptions) {
    this.#options = options;
  }

  connect(
    invoke: NestedInvoke,
    installations: Pick<InstallationDirectory, "listOfTenant" | "boundsDisk">,
  ): void {
    this.#invoke = invoke;
    this.#installations = installations;
  }

  serve(frame: HostCallFrame, context: HostCallContext): void {
    const call: Call = { ...frame, context };
    const startedAt = performance.now();
    const open = this.#open.get(context.sessionId) ?? 0;
    const { openMax } = this.#options.settings;
    if (open >= openMax) {
      // Synchronously: a plugin can send thousands of such calls in one turn of the event loop, after which its link
      // closes.
      const busy = new Fault("busy", `A session can have at most ${openMax} calls to the host open at once.`);
      try {
        this.#logEnd(call, startedAt, answerError(call, busy));
      } catch (error) {
        this.#logFailure(error);
      }
      return;
    }
    this.#open.set(context.sessionId, open + 1);
    this.#answer(call)
      .then(
        () => undefined,
        (error: unknown) => answerError(call, toFault(error)),
      )
      .then((fault) => {
        this.#close(context.sessionId);
        this.#logEnd(call, startedAt, fault);
      })
      .catch((error: unknown) => this.#logFailure(error));
  }

  #logFailure(error: unknown): void {
    this.#options.log.error({ op: "invocation.host_call", ok: false, err: error });
  }

  #logEnd({ type, context }: Call, startedAt: number, fault: Fault | undefined): void {
    this.#options.log.info({
      op: "invocation.host_call",
      ok: fault === undefined,
      code: fault?.code,
      type,
      duration_ms: Math.round(performance.now() - startedAt),
      session_id: context.sessionId,
      request_id: context.requestId,
      tenant_id: context.tenantId,
      plugin: context.catalog.identifier,
    });
  }

  #close(sessionId: string): void {
    const open = (this.#open.get(sessionId) ?? 1) - 1;
    if (open === 0) this.#open.delete(sessionId);
    else this.#open.set(sessionId, open);
  }

  async #answer(call: Call): Promise<void> {
    const { context } = call;
    const { depthMax } = this.#options.settings;
    const rule = permitted(call);
    switch (rule.servedBy.kind) {
      case "storage": {
        const { tenantId, catalog } = context;
        const owner = {
          tenantId,
          pluginId: catalog.pluginId,
          bytesMax: catalog.permission.storageBytes,
          tenantIsBounded: this.#installations?.boundsDisk(tenantId) === true,
        };
        const answer = await this.#options.storage.serve(owner, requestOf(call));
        respond(call, "struct", JSON.stringify(answer));
        endAnswer(call);
        return;
      }
      case "plugin":
        if (context.depth >= depthMax) {
          throw new Fault(
            "permission_denied",
            `Plugins can call each other at most ${depthMax} levels deep.`,
          );
        }
        await this.#callPlugin(call, rule.servedBy);
        return;
      case "platform":
        throw new Fault(
          "permission_denied",
          `${call.type} is not available because no platform is configured to serve it.`,
        );
      default:
        rule.servedBy satisfies never;
    }
  }

  #callPlugin(
    call: Call,
    target: { type: "tool" | "model"; action: string; message: string },
  ): Promise<void> {
    const { context } = call;
    const request = requestOf(call);
    const operation = this.#operations(target.type, target.action);
    if (operation === undefined || this.#invoke === undefined)
      throw new Error("host calls are not connected");
    if (request["credential_id"] !== undefined && request["credential_id"] !== null) {
      throw invalidInput(
        "credential_id",
        request["credential_id"],
        "null, because no platform is configured to store credentials",
      );
    }
    const { pluginId, provider } = this.#findProvider(target.type, request["provider"], context.tenantId);
    const fields = operationFields(target.type, request, provider, context.userId);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const relay = (send: () => void) => {
      try {
        send();
      } catch (error) {
        nested.detach();
        reject(error);
      }
    };
    const sink: InvocationSink = {
      bufferedBytes: 0,
      started: () => undefined,
      item: (data) => relay(() => respond(call, target.message, data.text)),
      end: (end) =>
        end.ok
          ? relay(() => {
              endAnswer(call);
              resolve();
            })
          : reject(end.fault),
    };
    const nested = this.#invoke(
      {
        tenantId: context.tenantId,
        pluginId,
        operation,
        content: { form: "fields", fields, text: JSON.stringify(fields) },
        timeoutMs: context.remainingMs,
        requestId: context.requestId,
      },
      sink,
      context.depth + 1,
    );
    const onGone = () => {
      nested.detach();
      resolve();
    };
    context.signal.addEventListener("abort", onGone, { once: true });
    return promise.finally(() => context.signal.removeEventListener("abort", onGone));
  }

  /** `author/plugin/provider`, or the provider's own name where exactly one plugin of the tenant has it. */
  #findProvider(
    kind: "tool" | "model",
    given: unknown,
    tenantId: TenantId,
  ): { pluginId: string; provider: string } {
    const all = (this.#installations?.listOfTenant(tenantId) ?? []).flatMap(({ catalog }) =>
      catalog.providers
        .filter((provider) => provider.kind === kind)
        .map(({ name }) => ({ pluginId: catalog.pluginId, provider: name })),
    );
    const found = all.filter(
      ({ pluginId, provider }) => given === provider || given === `${pluginId}/${provider}`,
    );
    const [only] = found;
    if (only !== undefined && found.length === 1) return only;
    const names = (found.length > 1 ? found : all).map(({ pluginId, provider }) => `${pluginId}/${provider}`);
    throw new Fault(
      "provider_not_found",
      `The tenant has ${found.length === 0 ? "no" : "more than one"} ${kind} provider ${JSON.stringify(given)}; accepted: ${names.join(", ")}.`,
      { details: { field: "provider", value: given, accepted: names } },
    );
  }
}

/** Throws `plugin_protocol` where the request has too many values to parse. */
function requestOf({ request }: { readonly request: JsonText }): HostCallRequest {
  return readJson(request) as HostCallRequest;
}

function permitted({ type, context }: Call): HostCallRule {
  const rule = Object.hasOwn(HOST_CALLS, type) ? HOST_CALLS[type] : undefined;
  if (rule === undefined) throw invalidInput("type", type, Object.keys(HOST_CALLS).join(", "));
  if (context.operationType === "model") {
    throw new Fault("permission_denied", "A model must not call back to the host.");
  }
  if (!rule.allows(context.catalog.permission)) {
    throw new Fault("permission_denied", `${type} needs ${rule.permission} in the plugin's manifest.`);
  }
  return rule;
}

/** `data` is JSON text that goes to the plugin unchanged. */
function respond(call: Call, message: string, data: string): void {
  call.context.send(line(call, "response", message, data));
}

function endAnswer(call: Call): void {
  call.context.send(line(call, "end", ""));
}

/** The SDK raises this text in the plugin's code. */
function answerError(call: Call, fault: Fault): Fault {
  call.context.send(line(call, "error", `${call.type}: ${fault.message}`));
  endAnswer(call);
  return fault;
}

function line(call: Call, event: string, message: string, data = "null"): string {
  const session = JSON.stringify(call.context.sessionId);
  const about = `"backwards_request_id":${JSON.stringify(call.id)},"event":"${event}"`;
  return (
    `{"session_id":${session},"conversation_id":null,"message_id":null,"app_id":null,"endpoint_id":null,"context":null,` +
    `"event":"backwards_response","data":{${about},"message":${JSON.stringify(message)},"data":${data}}}`
  );
}
