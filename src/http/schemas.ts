/** The schemas of answers, for the OpenAPI document, and the JSON of records. */
import { z } from "@hono/zod-openapi";
import { FAULTS, type FaultCode } from "../domain/fault.ts";
import { TenantId } from "../domain/ids.ts";
import { INSTALLATION_STATES, type Installation } from "../domain/installation.ts";
import { LIMIT_KEYS, LIMIT_NAMES, type Limits } from "../domain/limits.ts";
import { LIMIT_APPLIED, readApplied } from "../domain/limits-applied.ts";
import { CATEGORIES, categoryOf, type Package, PROVIDER_KINDS } from "../domain/package.ts";
import { minimumPlatformVersion, platformWarnings } from "../domain/platform-version.ts";
import { formatNeed } from "../domain/plugin-need.ts";
import { Scope } from "../domain/scope.ts";
import { INSTALLATION_TASKS, TASK_ENDS, TASK_STEPS, type Task, TENANT_TASKS } from "../domain/task.ts";
import type { ApiKey } from "../store/contracts/keys.ts";
import type { StoredPackage } from "../store/contracts/packages.ts";
import { TrustSchema, trustJson } from "./trust-schema.ts";

const CODES = Object.keys(FAULTS) as [FaultCode, ...FaultCode[]];
const Time = z.string().meta({ format: "date-time" });
const Json = z.record(z.string(), z.unknown());

const FaultJsonSchema = z.object({
  code: z.enum(CODES),
  message: z.string(),
  details: Json.optional(),
});

export const FaultBodySchema = z
  .object({ error: FaultJsonSchema, request_id: z.string() })
  .openapi("Error", { description: "Every error answer, and the data of every `error` event." });

export const LimitsSchema = z
  .object({
    memory_bytes: z.int(),
    storage_bytes: z.int(),
    cpu_millis: z.int(),
    pids_max: z.int(),
    concurrency_max: z.int(),
    timeout_ms: z.int(),
    replicas_min: z.int().meta({ description: "Containers that always run" }),
    replicas_max: z.int().meta({ description: "Containers that may run under load" }),
  })
  .openapi("Limits");

const LimitsAskedSchema = LimitsSchema.omit({ replicas_min: true, replicas_max: true })
  .partial()
  .extend({ memory_is_hard: z.boolean() })
  .openapi("LimitsAsked");

const LimitAppliedSchema = z.enum(LIMIT_APPLIED).optional();

const LimitsAppliedSchema = z
  .object({
    memory_bytes: LimitAppliedSchema,
    storage_bytes: LimitAppliedSchema,
    cpu_millis: LimitAppliedSchema,
    pids_max: LimitAppliedSchema,
    concurrency_max: LimitAppliedSchema,
    timeout_ms: LimitAppliedSchema,
    replicas_min: LimitAppliedSchema,
    replicas_max: LimitAppliedSchema,
  })
  .openapi("LimitsApplied");

export const PackageSchema = z
  .object({
    identifier: z.string(),
    plugin_id: z.string(),
    version: z.string(),
    checksum: z.string(),
    bytes: z.int(),
    dialect: z.enum(["real", "seed"]),
    providers: z.array(z.object({ kind: z.enum(PROVIDER_KINDS), name: z.string() })),
    category: z.enum(CATEGORIES),
    minimum_dify_version: z.string().nullable(),
    dependencies: z
      .array(z.object({ type: z.string(), value: z.string() }))
      .meta({ description: "Other plugins that are installed before it" }),
    warnings: z.array(z.string()),
    limits_asked: LimitsAskedSchema,
    created_at: Time,
  })
  .openapi("Package");

export const PackageDetailSchema = PackageSchema.extend({
  declaration: Json,
  limits: LimitsSchema,
  limits_notes: z.array(z.string()),
}).openapi("PackageDetail");

export const TaskSchema = z
  .object({
    id: z.string(),
    kind: z.enum([...INSTALLATION_TASKS, ...TENANT_TASKS]),
    tenant_id: z.string(),
    installation_id: z.string().nullable().meta({ description: "Null for a task on the whole tenant" }),
    parent_id: z.string().nullable().meta({ description: "The task that created this one and waits for it" }),
    identifier: z.string().nullable(),
    state: z.enum([...TASK_STEPS, ...TASK_ENDS]),
    ending: z
      .enum(["failed", "cancelled"])
      .nullable()
      .meta({ description: "How it will end, once its changes are undone; null otherwise" }),
    cause: FaultJsonSchema.nullable(),
    attempt: z.int(),
    applied: LimitsAppliedSchema.nullable().meta({
      description:
        "How changed limits take effect: the plan, and once it is `ready` what was done. Null for other tasks",
    }),
    created_at: Time,
    updated_at: Time,
    finished_at: Time.nullable(),
  })
  .openapi("Task");

export const TaskDetailSchema = TaskSchema.extend({
  children: z.array(TaskSchema).meta({ description: "Its child tasks, oldest first" }),
}).openapi("TaskDetail");

export const InstallationSchema = z
  .object({
    id: z.string(),
    tenant_id: z.string(),
    plugin_id: z.string(),
    identifier: z.string(),
    previous_identifier: z.string().nullable(),
    desired: z.enum(["enabled", "disabled", "removed"]),
    state: z.enum(INSTALLATION_STATES),
    cause: FaultJsonSchema.nullable(),
    generation: z.int(),
    limits_asked: LimitsAskedSchema,
    limits_granted: LimitsSchema,
    source: z.string().meta({ description: "`package` (an upload), `marketplace`, `github` or `url`" }),
    meta: z
      .record(z.string(), z.unknown())
      .meta({ description: "Where in the source: identifier, repository and release, or URL" }),
    warnings: z.array(z.string()),
    trust: TrustSchema.nullable().meta({ description: "Null until it is decided" }),
    created_at: Time,
    updated_at: Time,
  })
  .openapi("Installation");

export const AcceptedSchema = z
  .object({ installation: InstallationSchema, task: TaskSchema, created: z.boolean() })
  .openapi("Accepted");

/** For a request to install: a package that must be fetched first is not an installation yet. */
export const InstallAcceptedSchema = z
  .object({ installation: InstallationSchema.nullable(), task: TaskSchema, created: z.boolean() })
  .openapi("InstallAccepted");

export const KeySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    hint: z.string(),
    tenant_id: z.string().nullable(),
    scopes: z.array(Scope),
    state: z.enum(["valid", "expired", "revoked"]),
    created_at: Time,
    expires_at: Time.nullable(),
    last_used_at: Time.nullable().meta({ description: "Accurate to about a minute" }),
    revoked_at: Time.nullable(),
  })
  .openapi("Key");

/** A page of a list, with the cursor of the next page. */
export function listOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), next_cursor: z.string().nullable() });
}

export const TenantParams = z.object({ tenant: TenantId });

export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().min(1).max(500).optional(),
});

export function pageRequest({ limit, cursor }: z.output<typeof PageQuery>) {
  return cursor === undefined ? { limit } : { limit, cursor };
}

export function limitsJson(limits: Limits): z.input<typeof LimitsSchema> {
  return {
    memory_bytes: limits.memoryBytes,
    storage_bytes: limits.storageBytes,
    cpu_millis: limits.cpuMillis,
    pids_max: limits.pidsMax,
    concurrency_max: limits.concurrencyMax,
    timeout_ms: limits.timeoutMs,
    replicas_min: limits.replicasMin,
    replicas_max: limits.replicasMax,
  };
}

function limitsAskedJson(asked: Package["limitsAsked"]): z.input<typeof LimitsAskedSchema> {
  return {
    memory_is_hard: asked.memoryIsHard,
    ...(asked.memoryBytes !== undefined && { memory_bytes: asked.memoryBytes }),
    ...(asked.storageBytes !== undefined && { storage_bytes: asked.storageBytes }),
    ...(asked.concurrencyMax !== undefined && { concurrency_max: asked.concurrencyMax }),
    ...(asked.timeoutMs !== undefined && { timeout_ms: asked.timeoutMs }),
  };
}

export interface PlatformSettings {
  /** The operator's platform version; packages that need a newer one are shown with a warning. */
  readonly platformVersion: string | undefined;
}

/** `platform`: the operator's version of the platform, where it is set. */
export function packageJson(
  stored: StoredPackage,
  platform: string | undefined,
): z.input<typeof PackageSchema> {
  return {
    identifier: stored.identifier,
    plugin_id: stored.pluginId,
    version: stored.version,
    checksum: stored.checksum,
    bytes: stored.bytes,
    dialect: stored.dialect,
    providers: [...stored.providers],
    category: categoryOf(stored.providers.map(({ kind }) => kind)),
    minimum_dify_version: minimumPlatformVersion(stored.declaration) ?? null,
    dependencies: stored.dependencies.map((need) => ({ type: need.type, value: formatNeed(need) })),
    warnings: [...stored.warnings, ...platformWarnings(stored.declaration, platform)],
    limits_asked: limitsAskedJson(stored.limitsAsked),
    created_at: stored.createdAt.toISOString(),
  };
}

export function taskJson(task: Task): z.input<typeof TaskSchema> {
  return {
    id: task.id,
    kind: task.kind,
    tenant_id: task.tenantId,
    installation_id: task.installationId ?? null,
    parent_id: task.parentId ?? null,
    identifier: task.identifier ?? null,
    state: task.state,
    ending: task.finishedAt === undefined ? (task.ending?.state ?? null) : null,
    cause: causeJson(task.cause),
    attempt: task.attempt,
    applied: appliedJson(task),
    created_at: task.createdAt.toISOString(),
    updated_at: task.updatedAt.toISOString(),
    finished_at: task.finishedAt?.toISOString() ?? null,
  };
}

/** Null for a task whose changes were not made. */
function appliedJson({ state, input }: Task): z.input<typeof LimitsAppliedSchema> | null {
  const applied = readApplied(input["limitsApplied"]);
  if (applied === undefined || state === "failed" || state === "cancelled") return null;
  return Object.fromEntries(LIMIT_KEYS.map((key) => [LIMIT_NAMES[key], applied[key]]));
}

export function installationJson(installation: Installation): z.input<typeof InstallationSchema> {
  return {
    id: installation.id,
    tenant_id: installation.tenantId,
    plugin_id: installation.pluginId,
    identifier: installation.identifier,
    previous_identifier: installation.previousIdentifier ?? null,
    desired: installation.desired,
    state: installation.state,
    cause: causeJson(installation.cause),
    generation: installation.generation,
    limits_asked: limitsAskedJson(installation.limitsAsked),
    limits_granted: limitsJson(installation.limitsGranted),
    source: installation.source,
    meta: { ...installation.meta },
    warnings: [...installation.warnings],
    trust: installation.trust === undefined ? null : trustJson(installation.trust),
    created_at: installation.createdAt.toISOString(),
    updated_at: installation.updatedAt.toISOString(),
  };
}

export function keyJson(key: ApiKey, now: Date): z.input<typeof KeySchema> {
  const isExpired = key.expiresAt !== undefined && key.expiresAt <= now;
  return {
    id: key.id,
    name: key.name,
    hint: key.hint,
    tenant_id: key.tenantId ?? null,
    scopes: [...key.scopes],
    state: key.revokedAt !== undefined ? "revoked" : isExpired ? "expired" : "valid",
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
    revoked_at: key.revokedAt?.toISOString() ?? null,
  };
}

function causeJson(cause: Task["cause"]): z.input<typeof FaultJsonSchema> | null {
  if (cause === undefined) return null;
  const { code, message, details } = cause;
  return details === undefined ? { code, message } : { code, message, details: { ...details } };
}
