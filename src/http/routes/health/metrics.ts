import type { Metrics } from "../../../observe/metrics/metrics.ts";

/** Where the metrics are: scrapers are told one or the other. Not logged: they are asked every few seconds for ever. */
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
