/**
 * Calls back: what a plugin asks of the host during a call. Each is checked against the permissions that the plugin's
 * own manifest asks for and the operator grants, acts for the session's tenant only, and always gets an answer: a call
 * that cannot be served gets an error, not silence.
 */
import { Fault, invalidInput, toFault } from "../../domain/fault.ts";
import type { HostCallFrame } from "../../domain/frame.ts";
import { HOST_CALL_TYPES, type HostCallPlaces, isHostCallType, placeOf } from "../../domain/host-call.ts";
import { isGranted, notAsked, notGranted, type PermissionDefault } from "../../domain/permission.ts";
import type { Log } from "../../observe/log.ts";
import { HostCallAnswer } from "./answer.ts";
import type {
  HostCall,
  HostCallContext,
  HostCallServer,
  LocalHostCalls,
  NestedInvoke,
  TenantInstallations,
} from "./contract.ts";
import { HOST_CALLS } from "./table.ts";

/** The use case of calls back, shared by all sessions. */
export interface HostCalls {
  /** Called once by the invoker, which runs calls to other plugins. */
  connect(invoke: NestedInvoke, installations: TenantInstallations): void;
  /** Never throws; the answer goes to the plugin as lines. */
  serve(call: HostCallFrame, context: HostCallContext): void;
}

export interface HostCallsOptions {
  readonly local: LocalHostCalls;
  /** Undefined where no platform is configured. */
  readonly platform: HostCallServer | undefined;
  readonly log: Log;
  readonly settings: {
    readonly places: HostCallPlaces;
    readonly permissionDefault: PermissionDefault;
    /** Open at once, per session. */
    readonly openMax: number;
  };
}

export function createHostCalls(options: HostCallsOptions): HostCalls {
  return new CheckedHostCalls(options);
}

/** How one call back was served, for the log. */
interface Served {
  readonly frame: HostCallFrame;
  readonly context: HostCallContext;
  readonly answer: HostCallAnswer;
  readonly startedAt: number;
  /** Undefined where it was refused. */
  readonly server?: string;
}

/** Refusals that may wait for plugins that do not read them. A plugin that asks on then gets no answer. */
const REFUSALS_WAITING_MAX = 10_000;

class CheckedHostCalls implements HostCalls {
  readonly #options: HostCallsOptions;
  #refusalsWaiting = 0;

  constructor(options: HostCallsOptions) {
    this.#options = options;
  }

  connect(invoke: NestedInvoke, installations: TenantInstallations): void {
    this.#options.local.connect(invoke, installations);
  }

  serve(frame: HostCallFrame, context: HostCallContext): void {
    const message = isHostCallType(frame.type) ? HOST_CALLS[frame.type].message : "";
    const answer = new HostCallAnswer(frame, context, message);
    const served: Served = { frame, context, answer, startedAt: performance.now() };
    try {
      const call = this.#admit(frame, context);
      const server = this.#serverOf(call);
      const end = context.open.begin({ type: frame.type, server: server.name });
      this.#answer({ ...served, server: server.name }, server.serve(call, answer))
        .finally(end)
        .catch((error: unknown) => this.#logFailure(error));
    } catch (error) {
      this.#refuse(served, toFault(error));
    }
  }

  /**
   * Synchronously: a plugin can send thousands of calls in one turn of the event loop, after which its link closes.
   */
  #refuse(served: Served, fault: Fault): void {
    try {
      this.#logEnd(served, fault);
      if (this.#refusalsWaiting >= REFUSALS_WAITING_MAX) return;
      const waits = served.answer.fail(fault);
      if (waits === undefined) return;
      this.#refusalsWaiting++;
      waits.catch(() => undefined).finally(() => this.#refusalsWaiting--);
    } catch (error) {
      this.#logFailure(error);
    }
  }

  #admit(frame: HostCallFrame, context: HostCallContext): HostCall {
    const { openMax } = this.#options.settings;
    if (context.open.size >= openMax)
      throw new Fault("busy", `A session can have at most ${openMax} calls to the host open at once.`);
    const { type } = frame;
    if (!isHostCallType(type)) throw invalidInput("type", type, HOST_CALL_TYPES.join(", "));
    if (context.operationType === "model")
      throw new Fault("permission_denied", "A model must not call back to the host.");
    const rule = HOST_CALLS[type];
    const { needs } = rule;
    if (needs !== undefined && !context.catalog.permissions.has(needs)) throw notAsked(type, needs);
    if (
      needs !== undefined &&
      !isGranted(needs, context.permissions, this.#options.settings.permissionDefault)
    )
      throw notGranted(type, needs);
    return { type, rule, request: frame.request, context };
  }

  #serverOf({ type }: HostCall): HostCallServer {
    const { local, platform, settings } = this.#options;
    const place = placeOf(type, settings.places, platform !== undefined);
    return place === "platform" && platform !== undefined ? platform : local;
  }

  async #answer(served: Served, serving: Promise<void>): Promise<void> {
    try {
      await serving;
      await served.answer.end();
      this.#logEnd(served);
    } catch (error) {
      const fault = toFault(error);
      await served.answer.fail(fault);
      this.#logEnd(served, fault);
    }
  }

  #logFailure(error: unknown): void {
    this.#options.log.error({ op: "invocation.host_call", ok: false, err: error });
  }

  #logEnd({ frame, context, answer, startedAt, server }: Served, fault?: Fault): void {
    this.#options.log.info({
      op: "invocation.host_call",
      ok: fault === undefined,
      code: fault?.code,
      type: frame.type,
      server,
      items: answer.items,
      duration_ms: Math.round(performance.now() - startedAt),
      session_id: context.sessionId,
      request_id: context.requestId,
      tenant_id: context.tenantId,
      plugin: context.catalog.identifier,
    });
  }
}
