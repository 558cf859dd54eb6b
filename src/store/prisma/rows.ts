/**
 * From rows to domain words. The JSON columns of `berth_*` tables are written by this folder alone, so their shape is
 * taken from there; this is the one file that says so with `as`.
 */
import type { AuditEvent } from "../../domain/audit.ts";
import type { FaultJson } from "../../domain/fault.ts";
import type { InstallationId, RuntimeId, TaskId, TenantId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import type { Limits, LimitsAsked, LimitsWanted } from "../../domain/limits.ts";
import type { DeclarationJson, Package } from "../../domain/package.ts";
import type { Lease, Pool, RuntimeEnd, RuntimeRecord } from "../../domain/runtime.ts";
import { SCOPES, type Scope } from "../../domain/scope.ts";
import {
  type InstallationTask,
  isTenantTask,
  type Task,
  type TaskEnding,
  type TaskEvent,
  type TaskEventData,
  TENANT_TASKS,
  type TenantTask,
} from "../../domain/task.ts";
import type { SignatureCategory, SignaturePolicy, TrustDecision, TrustedKey } from "../../domain/trust.ts";
import type { ImportedImage } from "../contracts/imported-images.ts";
import type { PlatformInstallation } from "../contracts/platform.ts";
import type { TenantRecord } from "../contracts/tenants.ts";
import type { Admission, StoredSignature } from "../contracts/trust.ts";
import type { ApiKey, ImageRecord, StoredPackage } from "../store.ts";
import type * as rows from "./generated/client.ts";

export function toPackage(row: rows.Package): StoredPackage {
  return {
    identifier: row.identifier,
    pluginId: row.pluginId,
    author: row.author,
    name: row.name,
    version: row.version,
    checksum: row.checksum,
    bytes: Number(row.bytes),
    dialect: row.dialect as Package["dialect"],
    declaration: JSON.parse(row.declaration) as DeclarationJson,
    providers: row.providers as unknown as Package["providers"],
    runner: row.runner as unknown as Package["runner"],
    limitsAsked: row.limitsAsked as unknown as LimitsAsked,
    dependencies: row.dependencies as unknown as Package["dependencies"],
    warnings: row.warnings as string[],
    createdAt: row.createdAt,
  };
}

/** What a list shows of a Package; the Declaration is not read where it was not selected. */
export function toOffer(row: Pick<rows.Package, "providers"> & { readonly declaration?: string }) {
  const providers = row.providers as unknown as Package["providers"];
  const declaration =
    row.declaration === undefined ? undefined : (JSON.parse(row.declaration) as DeclarationJson);
  return { kinds: providers.map(({ kind }) => kind), declaration };
}

export function toInstallation(row: rows.Installation): Installation {
  return {
    id: row.id as InstallationId,
    tenantId: row.tenantId as TenantId,
    pluginId: row.pluginId,
    identifier: row.identifier,
    previousIdentifier: row.previousIdentifier ?? undefined,
    previousImageKey: row.previousImageKey ?? undefined,
    desired: row.desired as Installation["desired"],
    state: row.state as Installation["state"],
    cause: toCause(row.cause),
    generation: row.generation,
    limitsAsked: row.limitsAsked as unknown as LimitsAsked,
    limitsGranted: readLimits(row.limitsGranted),
    limitsWanted: (row.limitsWanted ?? {}) as LimitsWanted,
    poolKey: row.poolKey ?? undefined,
    nextPoolKey: row.nextPoolKey ?? undefined,
    source: row.source,
    meta: row.meta as Record<string, unknown>,
    warnings: row.warnings as string[],
    trust: (row.trust ?? undefined) as TrustDecision | undefined,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}

/** A row of the daemon's; undefined for one that names no Tenant, plugin or identifier. */
export function toPlatformInstallation(row: rows.PluginInstallation): PlatformInstallation | undefined {
  const { id, tenantId, pluginId, pluginUniqueIdentifier: identifier } = row;
  if (tenantId === null || pluginId === null || identifier === null) return undefined;
  return {
    id: id as InstallationId,
    tenantId: tenantId as TenantId,
    ...{ pluginId, identifier },
    runtimeType: row.runtimeType ?? "local",
    endpointsSetups: Number(row.endpointsSetups ?? 0n),
    endpointsActive: Number(row.endpointsActive ?? 0n),
    source: row.source ?? "",
    meta: toJsonObject(row.meta) ?? {},
    ...toTimes(row),
  };
}

/** The daemon writes both times, but its tables do not ask for them. */
export function toTimes(row: { readonly createdAt: Date | null; readonly updatedAt: Date | null }) {
  const createdAt = row.createdAt ?? row.updatedAt ?? new Date(0);
  return { createdAt, updatedAt: row.updatedAt ?? createdAt };
}

/** What one of the daemon's JSON columns holds; undefined where that is no object. */
export function toJsonObject(text: string | null): DeclarationJson | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return value instanceof Object && !Array.isArray(value) ? (value as DeclarationJson) : undefined;
  } catch {
    return undefined;
  }
}

export function toTask(row: rows.Task): Task {
  const task = {
    id: row.id as TaskId,
    tenantId: row.tenantId as TenantId,
    parentId: (row.parentId ?? undefined) as TaskId | undefined,
    input: (row.input ?? {}) as Task["input"],
    ending: toEnding(row.ending),
    state: row.state as Task["state"],
    cause: toCause(row.cause),
    attempt: row.attempt,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    finishedAt: row.finishedAt ?? undefined,
  };
  const { kind } = row;
  if (isTenantKind(kind))
    return { ...task, kind, installationId: undefined, identifier: row.identifier ?? undefined };
  return {
    ...task,
    kind: kind as InstallationTask["kind"],
    installationId: row.installationId as InstallationId,
    identifier: row.identifier ?? "",
  };
}

/** Throws where the row is that of an Installation's task. */
export function toTenantTask(row: rows.Task): TenantTask {
  const task = toTask(row);
  if (isTenantTask(task)) return task;
  throw new Error(`the task ${task.id} is one of an installation`);
}

/** Rows of earlier releases do not say how many Runtimes: there was one. */
function readLimits(kept: unknown): Limits {
  return { replicasMin: 1, replicasMax: 1, ...(kept as Omit<Limits, "replicasMin" | "replicasMax">) };
}

function isTenantKind(kind: string): kind is TenantTask["kind"] {
  return (TENANT_TASKS as readonly string[]).includes(kind);
}

export function toTaskEvent(row: rows.TaskEvent): TaskEvent {
  return { ...(row.data as unknown as TaskEventData), seq: row.seq, at: row.at };
}

export function toImage(row: rows.Image): ImageRecord {
  return {
    key: row.key,
    layer: row.layer as ImageRecord["layer"],
    state: row.state as ImageRecord["state"],
    imageRef: row.imageRef ?? undefined,
    bytes: row.bytes === null ? undefined : Number(row.bytes),
    warnings: row.warnings as string[],
    cause: toCause(row.cause),
    createdAt: row.createdAt,
  };
}

export function toImportedImage(row: rows.ImportedImage): ImportedImage {
  return {
    checksum: row.checksum,
    arch: row.arch,
    imageKey: row.imageKey,
    origin: row.origin as unknown as ImportedImage["origin"],
    createdAt: row.createdAt,
  };
}

export function toPool(row: rows.Pool): Pool {
  return {
    key: row.key,
    tenantId: (row.tenantId ?? undefined) as TenantId | undefined,
    pluginId: row.pluginId,
    identifier: row.identifier,
    imageKey: row.imageKey,
    imageRef: row.imageRef,
    runner: row.runner as Pool["runner"],
    limits: readLimits(row.limits),
    uidOffset: row.uidOffset,
    wanted: row.wanted,
    state: row.state as Pool["state"],
    cause: toCause(row.cause),
    nextStartAt: row.nextStartAt ?? undefined,
    lease: toLease(row),
    startAsked: row.startAsked,
    startAnswered: row.startAnswered,
    startFault: toCause(row.startFault),
    removalAsked: row.removalAsked,
    retiring: row.retiring,
    nextLimits: row.nextLimits === null ? undefined : readLimits(row.nextLimits),
    generationMin: row.generationMin,
  };
}

function toLease({ holder, attempt, leaseExpiresAt }: rows.Pool): Lease | undefined {
  return holder === null || leaseExpiresAt === null
    ? undefined
    : { holder, attempt, expiresAt: leaseExpiresAt };
}

export function toRuntime(row: rows.Runtime): RuntimeRecord {
  return {
    id: row.id as RuntimeId,
    poolKey: row.poolKey,
    slot: row.slot,
    generation: row.generation,
    containerName: row.containerName,
    containerId: row.containerId ?? undefined,
    specHash: row.specHash,
    state: row.state as RuntimeRecord["state"],
    startedAt: row.startedAt,
    readyAt: row.readyAt ?? undefined,
    endedAt: row.endedAt ?? undefined,
    end: (row.end ?? undefined) as RuntimeEnd | undefined,
    tenantId: (row.tenantId ?? undefined) as TenantId | undefined,
    pluginId: row.pluginId ?? undefined,
    identifier: row.identifier ?? undefined,
  };
}

export function toKey(row: rows.Key): ApiKey {
  return {
    id: row.id,
    name: row.name,
    hint: row.hint,
    hash: row.hash,
    tenantId: (row.tenantId ?? undefined) as TenantId | undefined,
    scopes: (row.scopes ?? SCOPES) as readonly Scope[],
    createdAt: row.createdAt,
    expiresAt: row.expiresAt ?? undefined,
    lastUsedAt: row.lastUsedAt ?? undefined,
    revokedAt: row.revokedAt ?? undefined,
  };
}

export function toTrustedKey({ id, name, pem, createdAt }: rows.TrustedKey): TrustedKey {
  return { id, name, pem, origin: "api", createdAt };
}

export function toPolicy(row: rows.SignaturePolicy | null): SignaturePolicy | undefined {
  return row === null ? undefined : (row.policy as SignaturePolicy);
}

export function toAdmission({ checksum, note, createdAt }: rows.Admission): Admission {
  return { checksum, note, createdAt };
}

export function toSignature(row: rows.Signature): StoredSignature {
  return {
    identifier: row.identifier,
    keyId: row.keyId,
    category: (row.category ?? undefined) as SignatureCategory | undefined,
    time: Number(row.signedTime),
    signature: row.signature,
    entries: row.entries as string[],
    createdAt: row.createdAt,
  };
}

export function toAuditEvent(row: rows.AuditEvent): AuditEvent {
  return {
    id: row.id,
    at: row.createdAt,
    kind: row.kind,
    actor: { keyId: row.keyId, keyName: row.keyName, requestId: row.requestId },
    tenantId: (row.tenantId ?? undefined) as TenantId | undefined,
    installationId: (row.installationId ?? undefined) as InstallationId | undefined,
    taskId: (row.taskId ?? undefined) as TaskId | undefined,
    subject: row.subject,
    result: row.result,
  };
}

/** As the one statement that counts gives it. */
export interface CountedTenant {
  readonly id: string;
  readonly created_at: Date;
  readonly removing_task_id: string | null;
  readonly installations: unknown;
  readonly packages: bigint;
  readonly package_bytes: bigint;
  readonly keys: bigint;
  readonly runtimes: bigint;
}

export function toTenant(row: CountedTenant): TenantRecord {
  const none = { installing: 0, ready: 0, failed: 0, crash_loop: 0, disabled: 0, removing: 0 };
  return {
    id: row.id as TenantId,
    createdAt: row.created_at,
    removingTaskId: (row.removing_task_id ?? undefined) as TaskId | undefined,
    installations: { ...none, ...(row.installations as Partial<TenantRecord["installations"]> | null) },
    packages: Number(row.packages),
    packageBytes: Number(row.package_bytes),
    keys: Number(row.keys),
    runtimes: Number(row.runtimes),
  };
}

/** What an idempotency key's first answer was; an answer of another kind of request cannot stand under the same hash. */
export function toAnswer(value: unknown): { installation: Installation; task: Task; created: boolean } {
  const { installation, task, created } = value as ReturnType<typeof toAnswer>;
  const { createdAt, updatedAt, previousIdentifier, cause, poolKey, nextPoolKey, previousImageKey } =
    installation;
  return {
    installation: {
      ...installation,
      ...{ createdAt: new Date(createdAt), updatedAt: new Date(updatedAt) },
      // JSON leaves out what is undefined
      ...{ previousIdentifier, cause, poolKey, nextPoolKey, previousImageKey },
      limitsWanted: installation.limitsWanted ?? {},
    },
    task: withDates(task),
    created,
  };
}

export function toTaskAnswer(value: unknown): { task: TenantTask; created: boolean } {
  const { task, created } = value as ReturnType<typeof toTaskAnswer>;
  return { task: withDates(task), created };
}

function withDates<T extends Task>(task: T): T {
  const { createdAt, updatedAt, finishedAt, cause, parentId, identifier } = task;
  return {
    ...task,
    ...{ createdAt: new Date(createdAt), updatedAt: new Date(updatedAt) },
    finishedAt: finishedAt === undefined ? undefined : new Date(finishedAt),
    ...{ cause, parentId, identifier, installationId: task.installationId, input: task.input ?? {} },
    ending: task.ending,
  };
}

export function toEnding(value: unknown): TaskEnding | undefined {
  return value === null ? undefined : (value as TaskEnding);
}

export function toCause(value: unknown): FaultJson | undefined {
  return value === null ? undefined : (value as FaultJson);
}
