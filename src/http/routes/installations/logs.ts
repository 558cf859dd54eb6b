import { z } from "zod";
import { Fault, formatFault, toFault } from "../../../domain/fault.ts";
import type { RuntimeLogLine, RuntimeLogs } from "../../../runtime/runtimes.ts";
import type { Store } from "../../../store/store.ts";
import { sseResponse } from "../../answers/sse.ts";
import type { RouteInput, Routes } from "../../route.ts";
import { getInstallation, InstallationParams } from "./parts.ts";

const Query = z.strictObject({
  since: z.iso.datetime({ offset: true }).optional(),
  request: z
    .string()
    .regex(/^[\w.:-]{1,128}$/)
    .optional(),
  follow: z.enum(["true", "false"]).default("false"),
  tail: z.coerce.number().int().min(0).max(10_000).default(1000),
});

const LineSchema = z.object({
  at: z.string(),
  stream: z.enum(["stdout", "stderr"]),
  runtime_id: z.string(),
  request_ids: z.array(z.string()),
  text: z.string(),
});

export interface InstallationLogsDeps {
  readonly store: Pick<Store, "installations" | "pools">;
  readonly logs: RuntimeLogs;
  readonly settings: { readonly pingMs: number };
}

export function addInstallationLogs(routes: Routes, deps: InstallationLogsDeps): void {
  routes.add(
    {
      name: "getLogs",
      method: "get",
      path: "/v1/tenants/{tenant}/installations/{id}/logs",
      tag: "installations",
      summary:
        "Returns the plugin's output, oldest first; `request` only what belongs to that call. `follow=true` streams on, as events named `line`.",
      access: { opens: "tenant", scope: "read" },
      params: InstallationParams,
      query: Query,
      answers: {
        200: {
          description: "The lines",
          content: {
            "application/json": z.object({ items: z.array(LineSchema) }),
            "text/event-stream": z.string(),
          },
        },
      },
      faults: ["installation_not_found"],
    },
    (input) => readLogs(input, deps),
  );
}

async function readLogs(
  input: RouteInput<z.output<typeof InstallationParams>, z.output<typeof Query>, unknown>,
  { store, logs, settings }: InstallationLogsDeps,
): Promise<Response> {
  const { params, query, principal, requestId, signal, streamSignal } = input;
  const { poolKey } = await getInstallation(store, params);
  const pool = poolKey === undefined ? undefined : await store.pools.find(poolKey);
  // the log of a shared pool has other tenants' output, too
  if (pool !== undefined && pool.tenantId === undefined && principal.tenantId !== undefined) {
    throw new Fault(
      "forbidden",
      "The plugin runs in a shared pool; only an operator's key can read its log.",
    );
  }
  const follow = query.follow === "true";
  const options = {
    follow,
    tail: query.tail,
    ...(query.since !== undefined && { since: new Date(query.since) }),
    ...(query.request !== undefined && { requestId: query.request }),
  };
  const read = (until: AbortSignal) => (poolKey === undefined ? none() : logs.read(poolKey, options, until));
  if (!follow) {
    const items = [];
    for await (const line of read(signal)) items.push(lineJson(line));
    return Response.json({ items });
  }
  return sseResponse({
    events: (until) => lineEvents(read(until)),
    requestId,
    pingMs: settings.pingMs,
    onError: (error) => ({
      event: "error",
      data: { error: formatFault(toFault(error)), request_id: requestId },
    }),
    signals: [streamSignal],
  });
}

async function* lineEvents(lines: AsyncIterable<RuntimeLogLine>) {
  for await (const line of lines) yield { event: "line", data: lineJson(line) };
}

async function* none(): AsyncGenerator<RuntimeLogLine> {
  // nothing has run yet
}

function lineJson({ at, stream, runtimeId, requestIds, text }: RuntimeLogLine): z.output<typeof LineSchema> {
  return { at: at.toISOString(), stream, runtime_id: runtimeId, request_ids: [...requestIds], text };
}
