import type { InvocationRequest } from "../domain/invocation.ts";
import type { InstalledPlugin } from "./installation-directory.ts";

/** Which session. */
export interface SessionName {
  readonly id: string;
  readonly request: InvocationRequest;
  readonly plugin: InstalledPlugin;
  readonly depth: number;
}

/** What a session measured, as `performance.now()` and counts. */
export interface SessionMeasures {
  readonly startedAt: number;
  /** When it got a place. */
  readonly enteredAt: number | undefined;
  readonly firstEventAt: number | undefined;
  readonly callerEndedAt: number | undefined;
  readonly outcome: { readonly ok: boolean; readonly code: string | undefined };
  readonly items: number;
  readonly bytes: number;
  readonly runtimeId: string | undefined;
}

/** The one line that the log has of a session, at its end. */
export function sessionLine({ request, plugin, id, depth }: SessionName, measured: SessionMeasures) {
  const { startedAt, enteredAt, firstEventAt, outcome } = measured;
  const now = performance.now();
  const ms = (from: number, to: number) => Math.round((to - from) * 100) / 100;
  const endedAt = measured.callerEndedAt ?? now;
  return {
    op: "invocation.invoke",
    ok: outcome.ok,
    code: outcome.code,
    duration_ms: ms(startedAt, endedAt),
    queue_ms: ms(startedAt, enteredAt ?? endedAt),
    first_event_ms: firstEventAt === undefined ? undefined : ms(startedAt, firstEventAt),
    session_ms: now - endedAt > 1 ? ms(startedAt, now) : undefined,
    items: measured.items,
    bytes: measured.bytes,
    type: request.operation.type,
    action: request.operation.action,
    request_id: request.requestId,
    session_id: id,
    tenant_id: request.tenantId,
    plugin: plugin.catalog.identifier,
    installation_id: plugin.installation.id,
    runtime_id: measured.runtimeId,
    depth: depth === 0 ? undefined : depth,
  };
}
