/** The contract of calls back: what a session hands over, and what serves it. */

import type { JsonText } from "../../domain/frame.ts";
import type { HostCallType } from "../../domain/host-call.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Invocation, InvocationRequest, InvocationSink } from "../../domain/invocation.ts";
import type { PermissionsChosen } from "../../domain/permission.ts";
import type { InstallationDirectory } from "../installation-directory.ts";
import type { PluginCatalog } from "../plugin-catalog.ts";
import type { AnswerTarget, HostCallAnswer } from "./answer.ts";
import type { OpenHostCalls } from "./open-host-calls.ts";
import type { HostCallRule } from "./table.ts";

/** The session that a call back comes from. */
export interface HostCallContext extends AnswerTarget {
  readonly tenantId: TenantId;
  readonly catalog: PluginCatalog;
  /** What the operator has decided for the installation. */
  readonly permissions: PermissionsChosen;
  readonly operationType: string;
  readonly userId: string;
  readonly requestId: string;
  readonly depth: number;
  /** Until the session's granted deadline. */
  readonly remainingMs: number;
  /** Those of the session. */
  readonly open: OpenHostCalls;
  /** Aborts when the session ends. */
  readonly signal: AbortSignal;
}

/** A call back that the manifest and the operator allow. */
export interface HostCall {
  readonly type: HostCallType;
  readonly rule: HostCallRule;
  /** An object. */
  readonly request: JsonText;
  readonly context: HostCallContext;
}

/** Serves calls back: the platform, or Berth itself. */
export interface HostCallServer {
  /** What a caller is told that a call waits for. */
  readonly name: string;
  /**
   * Gives each item of the answer to `answer`, in order, and resolves after the last one. It ends with the session.
   * Rejects with a fault whose message is for the plugin's code.
   */
  serve(call: HostCall, answer: HostCallAnswer): Promise<void>;
}

/** Berth itself, which runs the operations of other plugins of the tenant. */
export interface LocalHostCalls extends HostCallServer {
  /** Called once, before any call. */
  connect(invoke: NestedInvoke, installations: TenantInstallations): void;
}

export type NestedInvoke = (request: InvocationRequest, sink: InvocationSink, depth: number) => Invocation;

export type TenantInstallations = Pick<InstallationDirectory, "listOfTenant" | "boundsDisk">;
