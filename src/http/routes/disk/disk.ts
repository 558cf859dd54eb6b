import { z } from "@hono/zod-openapi";
import { Fault } from "../../../domain/fault.ts";
import { type DiskCare, faultOf } from "../../../installation/disk/disk-care.ts";
import type { DiskRun } from "../../../store/contracts/disk.ts";
import type { Routes } from "../../route.ts";
import { collectionJson, DiskCollectionSchema, DiskReportSchema, reportJson } from "./json.ts";

export function addDiskReport(routes: Routes, { disk }: { disk: Pick<DiskCare, "report"> }): void {
  routes.add(
    {
      method: "get",
      path: "/v1/disk",
      tag: "disk",
      summary: "What Berth keeps on disk: how much of what, its budget, what may go, and who needs the rest.",
      access: { opens: "operator", scope: "read" },
      answers: { 200: { description: "The report", content: { "application/json": DiskReportSchema } } },
      faults: ["answer_timeout"],
    },
    async ({ signal }) => {
      const run = await disk.report(signal);
      const fault = faultOf(run);
      if (fault !== undefined) throw fault;
      return Response.json(reportJson(run.report?.areas ?? [], run.finishedAt ?? run.createdAt));
    },
  );
}

const Query = z.strictObject({
  dryRun: z
    .enum(["true", "false"])
    .optional()
    .meta({ description: "`true`: takes nothing, and says what it would take" }),
});

const content = { "application/json": DiskCollectionSchema };

export function addDiskCollect(routes: Routes, { disk }: { disk: Pick<DiskCare, "collect" | "find"> }): void {
  routes.add(
    {
      method: "post",
      path: "/v1/disk/gc",
      tag: "disk",
      summary: "Takes away what nothing needs.",
      access: { opens: "operator", scope: "packages:write" },
      query: Query,
      answers: {
        200: { description: "What it took", content },
        202: { description: "It goes on: `Location` tells where to ask", content },
      },
      faults: ["invalid_input"],
    },
    async ({ query, by, signal }) =>
      answer(await disk.collect({ dryRun: query.dryRun === "true", by }, signal)),
  );
  routes.add(
    {
      method: "get",
      path: "/v1/disk/gc/{id}",
      tag: "disk",
      summary: "A collection that was asked for.",
      access: { opens: "operator", scope: "read" },
      params: z.object({ id: z.uuid() }),
      answers: { 200: { description: "What it took, or that it goes on", content } },
      faults: ["invalid_input", "not_found"],
    },
    async ({ params: { id } }) => {
      const run = await disk.find(id);
      if (run === undefined || run.kind === "report") throw notFound(id);
      return answer(run, 200);
    },
  );
}

function answer(run: DiskRun, unfinished = 202): Response {
  const fault = faultOf(run);
  if (fault !== undefined) throw fault;
  const status = run.finishedAt === undefined ? unfinished : 200;
  const headers = { location: `/v1/disk/gc/${run.id}` };
  return Response.json(collectionJson(run), status === 202 ? { status, headers } : { status });
}

function notFound(id: string): Fault {
  return new Fault("not_found", `There is no collection ${id}; the last ones are kept.`, {
    details: { field: "id", value: id, accepted: "the id of an earlier answer" },
  });
}
