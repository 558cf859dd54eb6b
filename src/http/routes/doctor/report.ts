import { z } from "@hono/zod-openapi";
import { DOCTOR_CHECKS, type DoctorReport, limitsHold } from "../../../domain/doctor.ts";
import type { Routes } from "../../route.ts";

const CheckSchema = z
  .object({
    name: z.enum(DOCTOR_CHECKS),
    status: z.enum(["ok", "failed", "unknown"]),
    found: z.string(),
    advice: z.string().optional(),
  })
  .openapi("DoctorCheck");

const ReportSchema = z
  .object({
    checked_at: z.iso.datetime().nullable().meta({ description: "`null`: not checked yet" }),
    hold: z.boolean().nullable().meta({ description: "False where a check failed" }),
    engine: z
      .object({ name: z.string(), version: z.string(), arch: z.string(), cgroup_version: z.enum(["1", "2"]) })
      .nullable(),
    checks: z.array(CheckSchema),
  })
  .openapi("DoctorReport");

/** The latest report on limits; made by the last start that had something new to check. */
export type ReadDoctorReport = () => Promise<DoctorReport | undefined>;

export function addDoctorReport(
  routes: Routes,
  { readDoctorReport }: { readonly readDoctorReport: ReadDoctorReport },
): void {
  routes.add(
    {
      name: "getDoctorReport",
      method: "get",
      path: "/v1/doctor",
      tag: "doctor",
      summary: "Reports which limits of plugins hold on this engine, as the probe found them.",
      access: { opens: "operator", scope: "read" },
      answers: {
        200: { description: "The last report", content: { "application/json": ReportSchema } },
      },
      faults: [],
    },
    async () => Response.json(reportJson(await readDoctorReport())),
  );
}

function reportJson(report: DoctorReport | undefined): z.infer<typeof ReportSchema> {
  if (report === undefined) return { checked_at: null, hold: null, engine: null, checks: [] };
  const { name, version, arch, cgroupVersion } = report.engine;
  return {
    checked_at: report.checkedAt,
    hold: limitsHold(report),
    engine: { name, version, arch, cgroup_version: cgroupVersion },
    checks: report.checks,
  };
}
