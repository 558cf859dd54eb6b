import { z } from "zod";
import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

const Body = z.strictObject({
  identifier: z
    .string()
    .min(1)
    .max(300)
    .meta({ description: "Another uploaded package of the same plugin, newer or older" }),
  verifySignature: z
    .boolean()
    .optional()
    .meta({ description: "Sets the signature policy to `require` for this upgrade" }),
});

export function addUpgradeInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/upgrade",
    summary:
      "Switches to another package of the same plugin. The current one serves until the new one has passed its start probe.",
    body: Body,
    isForceable: true,
    faults: ["dependency_in_use", "package_not_found", "invalid_json", "unsupported_media_type"],
    accept: (changes, request, { identifier, verifySignature = false }) =>
      changes.upgrade({ ...request, identifier, verifySignature }),
  });
}
