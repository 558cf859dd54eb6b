import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

export function addRollbackInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/rollback",
    summary: "Back to the version before, from its own image; again, and it returns.",
    isForceable: true,
    faults: ["dependency_in_use"],
    accept: (changes, request) => changes.rollback(request),
  });
}
