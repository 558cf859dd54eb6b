import { z } from "zod";
import { toFault } from "../../../domain/fault.ts";
import type { Metrics } from "../../../observe/metrics/metrics.ts";
import { waitOrAbort } from "../../../util/wait.ts";
import type { DoorLife } from "../../door-life.ts";
import type { Routes } from "../../route.ts";

export function addHealth(routes: Routes): void {
  routes.document({
    name: "getHealth",
    method: "get",
    path: "/health",
    tag: "health",
    summary: "Answers while the process is alive.",
    access: "public",
    answers: {
      200: { description: "Alive", content: { "application/json": z.object({ status: z.literal("ok") }) } },
    },
  });
  routes.unlogged("/health", () => Response.json({ status: "ok" }));
}

/** Under both paths, because scrapers are configured with either. */
export function addMetrics(
  metrics: Pick<Metrics, "text" | "contentType"> | undefined,
  add: (path: "/metrics" | "/metrics/", handler: () => Promise<Response>) => void,
): void {
  if (metrics === undefined) return;
  const handler = async () =>
    new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } });
  add("/metrics", handler);
  add("/metrics/", handler);
}

/** A part that a ready process needs: resolves while it can be reached, else rejects. */
export type HealthParts = Readonly<Record<string, (signal: AbortSignal) => Promise<void>>>;

/** Live processes, this one included, as last seen; `berth serve` counts as both. */
export interface ProcessCounts {
  readonly apis: number;
  readonly workers: number;
}

const ReadySchema = z.object({
  status: z.enum(["ready", "not_ready", "stopping"]),
  parts: z.record(z.string(), z.object({ ok: z.boolean(), code: z.string().optional() })),
  processes: z.object({ apis: z.int(), workers: z.int() }),
});

export function addReady(
  routes: Routes,
  {
    parts,
    processes,
    life,
    settings,
  }: {
    readonly parts: HealthParts;
    readonly processes: ProcessCounts;
    readonly life: DoorLife;
    readonly settings: { readonly healthTimeoutMs: number };
  },
): void {
  const content = { "application/json": ReadySchema };
  routes.document({
    name: "getReadiness",
    method: "get",
    path: "/health/ready",
    tag: "health",
    summary: "Checks every part that this process needs, and reports the number of live processes.",
    access: "public",
    answers: { 200: { description: "Ready", content }, 503: { description: "Not ready", content } },
  });
  routes.unlogged("/health/ready", async () => {
    const checked = await Promise.all(
      Object.entries(parts).map(
        async ([name, check]) => [name, await ask(check, settings.healthTimeoutMs)] as const,
      ),
    );
    const isReady = !life.isUnready && checked.every(([, { ok }]) => ok);
    return Response.json(
      {
        status: life.isUnready ? "stopping" : isReady ? "ready" : "not_ready",
        parts: Object.fromEntries(checked),
        processes: { apis: processes.apis, workers: processes.workers },
      },
      { status: isReady ? 200 : 503 },
    );
  });
}

async function ask(check: HealthParts[string], timeoutMs: number): Promise<{ ok: boolean; code?: string }> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await waitOrAbort(check(signal), signal);
    return { ok: true };
  } catch (error) {
    return { ok: false, code: signal.aborted ? "timeout" : toFault(error).code };
  }
}
