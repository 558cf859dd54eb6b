import type { Metrics } from "../../../observe/metrics/metrics.ts";

/** Under both paths, because scrapers are configured with either. Not logged: they are requested every few seconds. */
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
