import type { InstallationId, TaskId, TenantId } from "./ids.ts";
import type { InstallationTask } from "./task.ts";

/** Who asks, and by which request. */
export interface Actor {
  /** Id of the key; `admin` for the admin key, `berth` for what Berth does by itself. */
  readonly keyId: string;
  readonly keyName: string;
  readonly requestId: string;
}

/** What is recorded today. Later verbs join them, so whoever reads events meets any `noun.verb`. */
export type AuditKind =
  | "package.upload"
  | "bundle.upload"
  | "bundle.remove"
  | `installation.${InstallationTask["kind"]}`
  | "installation.adopt"
  | "installation.egress"
  | "installation.fetch"
  | "installation.bundle"
  | "installation.batch"
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
  | "endpoint.create"
  | "endpoint.update"
  | "endpoint.enable"
  | "endpoint.disable"
  | "endpoint.remove";

/** One thing that was accepted, written in the same transaction: nothing is accepted without its line. */
export interface AuditEvent {
  readonly id: string;
  readonly at: Date;
  readonly kind: string;
  readonly actor: Actor;
  readonly tenantId: TenantId | undefined;
  readonly installationId: InstallationId | undefined;
  readonly taskId: TaskId | undefined;
  /** What it was done to: a package's identifier, a key's id, a Tenant. */
  readonly subject: string;
  /** `done`; for what a task does `accepted`, and the task's end (`ready`, `failed`, `cancelled`) once it has one. */
  readonly result: string;
}

/** What Berth does by itself, on behalf of nobody or of an earlier request. */
export const BERTH_ITSELF: Actor = { keyId: "berth", keyName: "berth", requestId: "none" };
