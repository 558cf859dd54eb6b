import { z } from "zod";
import type { Routes } from "../../route.ts";

export function addHealth(routes: Routes): void {
  routes.document({
    method: "get",
    path: "/health",
    tag: "health",
    summary: "Answers while the process is alive.",
    access: "public",
    answers: {
      200: { description: "Alive", content: { "application/json": z.object({ status: z.literal("ok") }) } },
    },
  });
  // not logged: it is requested every few seconds
  routes.on("get", "/health", () => Response.json({ status: "ok" }));
}
