import type { DiskCare } from "../../../installation/disk/disk-care.ts";
import { faultOf } from "../../../installation/disk/disk-care.ts";
import type { Routes } from "../../route.ts";
import { DiskReportSchema, reportJson } from "./json.ts";

export function addDiskReport(routes: Routes, { disk }: { disk: Pick<DiskCare, "report"> }): void {
  routes.add(
    {
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
