/** What a plugin may ask of its host: its manifest asks, the operator grants or refuses. */
import { z } from "zod";
import { Fault } from "./fault.ts";
import { member } from "./json.ts";
import type { DeclarationJson } from "./package.ts";

/** By their places in the manifest, below `resource.permission`. */
export const PERMISSIONS = [
  "tool",
  "model.llm",
  "model.text_embedding",
  "model.rerank",
  "model.tts",
  "model.speech2text",
  "model.moderation",
  "node",
  "app",
  "storage",
  "endpoint",
] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** What the operator has decided for one installation; for an absent one the default applies. Kept through upgrades. */
export const PermissionsChosen = z.partialRecord(z.enum(PERMISSIONS), z.boolean());
export type PermissionsChosen = z.infer<typeof PermissionsChosen>;

/** For what the operator has not decided: `grant` what the manifest asks for, or `refuse` it. */
export const PERMISSION_DEFAULTS = ["grant", "refuse"] as const;
export type PermissionDefault = (typeof PERMISSION_DEFAULTS)[number];

/** The words of the manifest, for messages and pages. */
export function permissionText(permission: Permission): string {
  const [block, flag] = permission.split(".");
  return `resource.permission.${block}.enabled${flag === undefined ? "" : ` and .${flag}`}`;
}

export function asksFor(declaration: DeclarationJson, permission: Permission): boolean {
  const [name = "", flag] = permission.split(".");
  const block = member(member(declaration["resource"], "permission"), name);
  return member(block, "enabled") === true && (flag === undefined || member(block, flag) === true);
}

export function isGranted(
  permission: Permission,
  chosen: PermissionsChosen,
  byDefault: PermissionDefault,
): boolean {
  return chosen[permission] ?? byDefault === "grant";
}

/** `what`: the call or the object that needs it. */
export function notAsked(what: string, permission: Permission): Fault {
  return new Fault(
    "permission_denied",
    `${what} needs ${permissionText(permission)} in the plugin's manifest.`,
    {
      details: { permission, asked: false },
    },
  );
}

export function notGranted(what: string, permission: Permission): Fault {
  return new Fault(
    "permission_denied",
    `${what} needs ${permissionText(permission)}: the plugin's manifest asks for it, and the operator does not grant it.`,
    { details: { permission, asked: true, granted: false } },
  );
}
