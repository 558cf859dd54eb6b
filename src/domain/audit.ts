import type { InstallationId, TaskId, TenantId } from "./ids.ts";
import type { InstallationTask } from "./task.ts";

/** Who asks, and in which request. */
export interface Actor {
  /** Id of the key; `admin` for the admin key, `berth` for what Berth does on its own. */
  readonly keyId: string;
  readonly keyName: string;
  readonly requestId: string;
}

/** The kinds that are recorded today. Later versions add more, so a reader of events must accept any `noun.verb`. */
export type AuditKind =
  | "package.upload"
  | "bundle.upload"
  | "bundle.remove"
  | `installation.${InstallationTask["kind"]}`
  | "installation.adopt"
  | "installation.connect"
  | "installation.disconnect"
  | "installation.egress"
  | "installation.variables"
  | "installation.permissions"
  | "installation.fetch"
  | "installation.bundle"
  | "installation.batch"
  | "debugging_key.create"
  | "key.create"
  | "key.revoke"
  | "task.cancel"
  | "tenant.remove"
  | "tenant.settings"
  | "tenant.quotas"
  | "disk.collect"
  | "trusted_key.add"
  | "trusted_key.remove"
  | "admission.add"
  | "admission.remove"
  | "signature_policy.set"
  | "signature.add"
  | "runtime.foreign_call"
  | "endpoint.create"
  | "endpoint.update"
  | "endpoint.enable"
  | "endpoint.disable"
  | "endpoint.remove"
  | "credential.create"
  | "credential.replace"
  | "credential.default"
  | "credential.remove";

/**
 * One accepted change, whose row is written in the same transaction: nothing is accepted without an event. Or something
 * that a plugin tried and was refused.
 */
export interface AuditEvent {
  readonly id: string;
  readonly at: Date;
  readonly kind: string;
  readonly actor: Actor;
  readonly tenantId: TenantId | undefined;
  readonly installationId: InstallationId | undefined;
  readonly taskId: TaskId | undefined;
  /** What was changed: a package's identifier, a key's id, a tenant. */
  readonly subject: string;
  /** `done`; `refused` for what a plugin tried; for the work of a task `accepted`, then the task's end (`ready`, `failed`, `cancelled`). */
  readonly result: string;
}

/** Work that Berth starts on its own, or continues for an earlier request. */
export const BERTH_ITSELF: Actor = { keyId: "berth", keyName: "berth", requestId: "none" };
