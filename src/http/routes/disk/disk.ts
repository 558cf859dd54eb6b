import { z } from "@hono/zod-openapi";
import { Fault } from "../../../domain/fault.ts";
import { type DiskCare, faultOf } from "../../../installation/disk/disk-care.ts";
import type { DiskRun } from "../../../store/contracts/disk.ts";
import type { Routes } from "../../route.ts";
import { collectionJson, DiskCollectionSchema, DiskReportSchema, reportJson } from "./json.ts";

export function addDiskReport(routes: Routes, { disk }: { disk: Pick<DiskCare, "report"> }): void {
  routes.add(
    {
      name: "getDiskUse",
      method: "get",
      path: "/v1/disk",
      tag: "disk",
      summary: "Reports disk use: size and budget of each kind, what can be removed, and who needs the rest.",
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
    .meta({ description: "`true`: removes nothing, and reports what it would remove" }),
});

const content = { "application/json": DiskCollectionSchema };

export function addDiskCollect(routes: Routes, { disk }: { disk: Pick<DiskCare, "collect" | "find"> }): void {
  routes.add(
    {
      name: "startDiskCollection",
      method: "post",
      path: "/v1/disk/gc",
      tag: "disk",
      summary: "Removes unreferenced data.",
      access: { opens: "operator", scope: "packages:write" },
      query: Query,
      answers: {
        200: { description: "What was removed", content },
        202: { description: "Still running; poll `Location`", content },
      },
      faults: ["invalid_input"],
    },
    async ({ query, by, signal }) =>
      answer(await disk.collect({ dryRun: query.dryRun === "true", by }, signal)),
  );
  routes.add(
    {
      name: "getDiskCollection",
      method: "get",
      path: "/v1/disk/gc/{id}",
      tag: "disk",
      summary: "Returns a collection that was started earlier.",
      access: { opens: "operator", scope: "read" },
      params: z.object({ id: z.uuid() }),
      answers: { 200: { description: "What was removed, or that it is still running", content } },
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
  return new Fault("not_found", `There is no collection ${id}; only the latest ones are stored.`, {
    details: { field: "id", value: id, accepted: "the id of an earlier answer" },
  });
}
