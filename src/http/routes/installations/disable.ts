import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

export function addDisableInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/disable",
    summary: "Disables an installation: calls are refused, containers drain and stop. Everything else stays.",
    accept: (changes, request) => changes.disable(request),
  });
}
