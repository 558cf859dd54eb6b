import { z } from "zod";

/** A tenant is named by a UUID in lower case; upper case in input is converted. */
export const TenantId = z
  .string()
  .regex(/^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/, "a UUID")
  .transform((text) => text.toLowerCase())
  .brand("TenantId");
export type TenantId = z.infer<typeof TenantId>;

/** Equals the `id` of the row in `plugin_installations` once the installation is ready. */
export const InstallationId = z.uuid().brand("InstallationId");
export type InstallationId = z.infer<typeof InstallationId>;

export const TaskId = z.uuid().brand("TaskId");
export type TaskId = z.infer<typeof TaskId>;

export const RuntimeId = z
  .string()
  .regex(/^[a-z0-9]{10}$/)
  .brand("RuntimeId");
export type RuntimeId = z.infer<typeof RuntimeId>;

/** `author/name`: a tenant has at most one installation of it. */
export const PluginId = z
  .string()
  .regex(/^[a-z0-9_-]{1,64}\/[a-z0-9_-]{1,128}$/, "author/name")
  .brand("PluginId");
export type PluginId = z.infer<typeof PluginId>;
