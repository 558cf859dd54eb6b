/**
 * The one error type that Berth throws on purpose, and the one table that decides what a code means: its HTTP status,
 * whether Berth tries again, how the Dify door words it, and the level of its log line.
 */

export interface FaultRule {
  /** HTTP status of an answer that carries the code. */
  readonly status: number;
  /** A task, or other work in the background, that failed with this code is tried again. */
  readonly retry: boolean;
  /**
   * A start of a runtime that fails with this code counts as interrupted: the pool backs off and starts again. False:
   * the start counts as a failure of the plugin, and enough of those end in a crash loop.
   */
  readonly backOff: boolean;
  /**
   * The Dify door reports it so that a platform retries (`no available node`). False: as a lasting error.
   */
  readonly passing: boolean;
  readonly log: "error" | "warn" | "info";
}

export const FAULTS = {
  // wrong input: the caller must change something
  invalid_input: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  invalid_json: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  unsupported_media_type: { status: 415, retry: false, backOff: false, passing: false, log: "info" },
  malformed_request: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  headers_too_large: { status: 431, retry: false, backOff: false, passing: false, log: "info" },
  request_timeout: { status: 408, retry: true, backOff: true, passing: true, log: "info" },
  payload_too_large: { status: 413, retry: false, backOff: false, passing: false, log: "info" },
  package_not_zip: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  package_unsafe: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  package_too_large: { status: 413, retry: false, backOff: false, passing: false, log: "info" },
  manifest_missing: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  manifest_invalid: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  identifier_too_long: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  checksum_mismatch: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  signature_required: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  signature_wrong: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  unauthorized: { status: 401, retry: false, backOff: false, passing: false, log: "info" },
  forbidden: { status: 403, retry: false, backOff: false, passing: false, log: "info" },
  not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  text_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  bundle_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  package_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  installation_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  task_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  provider_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  tool_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  model_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  endpoint_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  endpoint_disabled: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  credential_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  credentials_refused: { status: 422, retry: false, backOff: false, passing: false, log: "info" },
  operation_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  method_not_allowed: { status: 405, retry: false, backOff: false, passing: false, log: "info" },
  conflict: { status: 409, retry: false, backOff: false, passing: false, log: "info" },
  dependency_in_use: { status: 409, retry: false, backOff: false, passing: false, log: "info" },
  idempotency_mismatch: { status: 409, retry: false, backOff: false, passing: false, log: "info" },

  // an install that cannot succeed: the task's cause
  export_invalid: { status: 400, retry: false, backOff: false, passing: false, log: "info" },
  engine_elsewhere: { status: 421, retry: false, backOff: false, passing: false, log: "info" },
  package_damaged: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
  python_not_available: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  variant_not_available: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  arch_not_supported: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  dependency_unresolvable: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  source_build_refused: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  build_failed: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  build_out_of_memory: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  build_disk_full: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  disk_full: { status: 507, retry: true, backOff: true, passing: true, log: "error" },
  build_timeout: { status: 504, retry: false, backOff: false, passing: false, log: "warn" },
  build_no_progress: { status: 504, retry: false, backOff: false, passing: false, log: "warn" },
  dependency_hash_mismatch: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  index_unreachable: { status: 502, retry: true, backOff: true, passing: true, log: "warn" },
  index_refused: { status: 502, retry: false, backOff: false, passing: false, log: "warn" },
  name_not_resolved: { status: 502, retry: true, backOff: true, passing: true, log: "warn" },
  start_crashed: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  start_timeout: { status: 504, retry: false, backOff: false, passing: false, log: "warn" },
  start_interrupted: { status: 503, retry: true, backOff: true, passing: true, log: "warn" },
  socket_path_too_long: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
  egress_unguarded: { status: 503, retry: false, backOff: false, passing: false, log: "error" },
  image_missing: { status: 503, retry: true, backOff: true, passing: true, log: "error" },
  quota_exceeded: { status: 403, retry: false, backOff: false, passing: false, log: "info" },
  quota_disk: { status: 413, retry: false, backOff: false, passing: false, log: "info" },
  quota_calls: { status: 429, retry: true, backOff: true, passing: true, log: "info" },
  quota_memory: { status: 503, retry: true, backOff: true, passing: true, log: "warn" },
  host_full: { status: 503, retry: true, backOff: true, passing: true, log: "warn" },
  install_failed: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  dependency_missing: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  dependency_conflict: { status: 409, retry: false, backOff: false, passing: false, log: "warn" },
  dependency_cycle: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  dependency_failed: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  cancelled: { status: 409, retry: false, backOff: false, passing: false, log: "info" },

  // a source of packages that failed
  source_not_found: { status: 404, retry: false, backOff: false, passing: false, log: "info" },
  source_forbidden: { status: 502, retry: false, backOff: false, passing: false, log: "warn" },
  source_rate_limited: { status: 503, retry: true, backOff: true, passing: true, log: "warn" },
  source_unreachable: { status: 502, retry: true, backOff: true, passing: true, log: "warn" },
  source_timeout: { status: 504, retry: true, backOff: true, passing: true, log: "warn" },
  source_address_refused: { status: 403, retry: false, backOff: false, passing: false, log: "warn" },
  source_digest_mismatch: { status: 422, retry: false, backOff: false, passing: false, log: "warn" },
  source_unusable: { status: 502, retry: false, backOff: false, passing: false, log: "warn" },

  // a call that failed
  plugin_error: { status: 502, retry: false, backOff: false, passing: false, log: "info" },
  plugin_timeout: { status: 504, retry: false, backOff: false, passing: false, log: "warn" },
  plugin_crashed: { status: 502, retry: true, backOff: true, passing: true, log: "warn" },
  plugin_unhealthy: { status: 502, retry: false, backOff: false, passing: false, log: "warn" },
  plugin_not_ready: { status: 503, retry: true, backOff: true, passing: true, log: "info" },
  plugin_disabled: { status: 409, retry: false, backOff: false, passing: false, log: "info" },
  plugin_protocol: { status: 502, retry: false, backOff: false, passing: false, log: "warn" },
  frame_too_large: { status: 502, retry: false, backOff: false, passing: false, log: "warn" },
  answer_too_large: { status: 502, retry: false, backOff: false, passing: false, log: "info" },
  slow_caller: { status: 504, retry: false, backOff: false, passing: false, log: "info" },
  link_lost: { status: 502, retry: true, backOff: true, passing: true, log: "warn" },
  busy: { status: 429, retry: true, backOff: true, passing: true, log: "info" },
  permission_denied: { status: 403, retry: false, backOff: false, passing: false, log: "info" },
  storage_quota: { status: 413, retry: false, backOff: false, passing: false, log: "info" },

  // the platform: settings of endpoints, and calls back
  platform_unavailable: { status: 502, retry: true, backOff: true, passing: true, log: "warn" },
  platform_refused: { status: 502, retry: false, backOff: false, passing: false, log: "warn" },
  secret_unreadable: { status: 500, retry: false, backOff: false, passing: false, log: "error" },

  // Berth's own parts
  engine_unavailable: { status: 503, retry: true, backOff: true, passing: true, log: "error" },
  engine_refused: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
  store_unavailable: { status: 503, retry: true, backOff: true, passing: true, log: "error" },
  store_mismatch: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
  package_store_unavailable: { status: 503, retry: true, backOff: true, passing: true, log: "error" },
  queue_unavailable: { status: 503, retry: true, backOff: true, passing: true, log: "error" },
  queue_mismatch: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
  instance_claimed: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
  data_folder_locked: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
  lease_lost: { status: 409, retry: true, backOff: true, passing: true, log: "warn" },
  task_waits: { status: 409, retry: true, backOff: true, passing: true, log: "info" },
  too_many_connections: { status: 503, retry: true, backOff: true, passing: true, log: "warn" },
  answer_timeout: { status: 504, retry: true, backOff: true, passing: true, log: "error" },
  shutting_down: { status: 503, retry: true, backOff: true, passing: true, log: "info" },
  config_invalid: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
  internal: { status: 500, retry: false, backOff: false, passing: false, log: "error" },
} as const satisfies Record<string, FaultRule>;

export type FaultCode = keyof typeof FAULTS;

/** What a refusal of input shows: the field, its value, and what is accepted. */
export interface FaultDetails {
  readonly field?: string;
  readonly value?: unknown;
  readonly accepted?: unknown;
  readonly [key: string]: unknown;
}

export interface FaultOptions {
  /** Public: part of the answer, beside the message. */
  readonly details?: FaultDetails;
  /** Internal, for the log only. */
  readonly context?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** An expected failure. `message` is public: one sentence that is safe to show and never holds a secret. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly details: FaultDetails;
  readonly context: Readonly<Record<string, unknown>>;

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Fault";
    this.code = code;
    this.details = options.details ?? {};
    this.context = options.context ?? {};
  }

  get rule(): FaultRule {
    return FAULTS[this.code];
  }
}

/** The JSON form of a fault: the body of every error answer, the cause of a failed task, the data of `error` events. */
export interface FaultJson {
  readonly code: FaultCode;
  readonly message: string;
  readonly details?: FaultDetails;
}

export function isFault(error: unknown, code?: FaultCode): error is Fault {
  return error instanceof Fault && (code === undefined || error.code === code);
}

/**
 * Turns anything thrown into a fault. A write that failed for a full disk becomes `disk_full`, anything else that is
 * not a fault becomes `internal`; its own text goes to the log only.
 */
export function toFault(error: unknown): Fault {
  if (isFault(error)) return error;
  if (isDiskFull(error))
    return new Fault("disk_full", "A disk that Berth writes to is full.", { cause: error });
  return new Fault("internal", "Internal error; the log of Berth has the cause.", { cause: error });
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

export function formatFault(fault: Fault): FaultJson {
  return Object.keys(fault.details).length === 0
    ? { code: fault.code, message: fault.message }
    : { code: fault.code, message: fault.message, details: fault.details };
}

/** A wrong field of an input: the message names the field, its value and what is accepted. */
export function invalidInput(field: string, value: unknown, accepted: string): Fault {
  return new Fault("invalid_input", `${field} is ${show(value)}; accepted: ${accepted}.`, {
    details: { field, value: value === undefined ? null : value, accepted },
  });
}

/** Something encrypted that no key opens. `what` begins the message: "The variable A of acme/reader". */
export function secretUnreadable(what: string, details: FaultDetails, cause: unknown): Fault {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Fault("secret_unreadable", `${what} cannot be read: ${why}.`, { details, cause });
}

export function installationNotFound(id: string): Fault {
  return new Fault("installation_not_found", `There is no installation ${id}.`);
}

/** Also for a package that the asking tenant may not see. */
export function packageNotUploaded(identifier: string): Fault {
  return new Fault("package_not_found", `The package ${identifier} has not been uploaded.`, {
    details: { field: "identifier", value: identifier, accepted: "the identifier of an uploaded package" },
  });
}

export function bundleNotFound(identifier: string): Fault {
  return new Fault("bundle_not_found", `There is no bundle ${identifier}.`, {
    details: {
      field: "identifier",
      value: identifier,
      accepted: "author/name:version@checksum of an uploaded bundle",
    },
  });
}

export function tenantNotFound(id: string): Fault {
  const accepted = "a tenant with a key, an upload or an installation";
  return new Fault("not_found", `There is no tenant ${id}.`, {
    details: { field: "tenant", value: id, accepted },
  });
}

function show(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
