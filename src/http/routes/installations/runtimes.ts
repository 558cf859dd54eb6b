import { z } from "@hono/zod-openapi";
import { RUNTIME_END_REASONS, type RuntimeRecord } from "../../../domain/runtime.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { getInstallation, InstallationParams } from "./parts.ts";

const Query = z.strictObject({ limit: z.coerce.number().int().min(1).max(500).default(50) });

const time = () => z.string().meta({ format: "date-time" }).nullable();

const RuntimeSchema = z
  .object({
    id: z.string(),
    identifier: z.string().nullable(),
    generation: z.number().int(),
    state: z.enum(["starting", "ready", "draining", "ended"]),
    started_at: z.string().meta({ format: "date-time" }),
    ready_at: time(),
    ended_at: time(),
    end: z
      .object({
        cause: z.enum(RUNTIME_END_REASONS),
        message: z.string(),
        exit_code: z.number().int().nullable(),
        oom: z.boolean(),
        action: z
          .object({ kind: z.enum(["start_now", "start_later", "give_up"]), delay_ms: z.number().nullable() })
          .nullable()
          .meta({ description: "What Berth did about it; null where nothing was necessary" }),
        logs: z.array(z.string()).meta({ description: "The last lines of its output, oldest first" }),
      })
      .nullable(),
  })
  .openapi("Runtime");

export function addInstallationRuntimes(
  routes: Routes,
  { store }: { readonly store: Pick<Store, "installations" | "runtimes"> },
): void {
  routes.add(
    {
      name: "listRuntimes",
      method: "get",
      path: "/v1/tenants/{tenant}/installations/{id}/runtimes",
      tag: "installations",
      summary: "Lists the plugin's runtimes, newest first: when each started and how it ended.",
      access: { opens: "tenant", scope: "read" },
      params: InstallationParams,
      query: Query,
      answers: {
        200: {
          description: "The runtimes",
          content: { "application/json": z.object({ items: z.array(RuntimeSchema) }) },
        },
      },
      faults: ["installation_not_found"],
    },
    async ({ params, query, principal }) => {
      const { tenantId, pluginId, createdAt: since } = await getInstallation(store, params);
      const runtimes = await store.runtimes.listOfPlugin({ tenantId, pluginId, since }, query.limit);
      const isOperator = principal.tenantId === undefined;
      // the output of a shared runtime may be another tenant's
      const items = runtimes.map((runtime) =>
        runtimeJson(runtime, isOperator || runtime.tenantId !== undefined),
      );
      return Response.json({ items });
    },
  );
}

function runtimeJson(runtime: RuntimeRecord, showsLogs: boolean): z.input<typeof RuntimeSchema> {
  const { id, identifier, generation, state, startedAt, readyAt, endedAt } = runtime;
  return {
    id,
    identifier: identifier ?? null,
    generation,
    state,
    started_at: startedAt.toISOString(),
    ready_at: readyAt?.toISOString() ?? null,
    ended_at: endedAt?.toISOString() ?? null,
    end: endJson(runtime, showsLogs),
  };
}

function endJson({ end }: RuntimeRecord, showsLogs: boolean): z.input<typeof RuntimeSchema>["end"] {
  if (end === undefined) return null;
  const { reason, message, exitCode, oom, action, logs } = end;
  return {
    cause: reason,
    message: message ?? "",
    exit_code: exitCode ?? null,
    oom: oom === true,
    action: action === undefined ? null : { kind: action.kind, delay_ms: action.delayMs ?? null },
    logs: showsLogs ? [...(logs ?? [])] : [],
  };
}
