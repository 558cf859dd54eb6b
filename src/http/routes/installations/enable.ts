import type { Routes } from "../../route.ts";
import { addChange, type ChangeRouteDeps } from "./change.ts";

export function addEnableInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/enable",
    summary: "Enables a disabled installation. If its start fails, it stays disabled and shows the cause.",
    accept: (changes, request) => changes.enable(request),
  });
}
