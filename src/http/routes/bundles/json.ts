import { z } from "@hono/zod-openapi";
import type { PluginDependency } from "../../../domain/dependency.ts";
import type { DeclarationJson } from "../../../domain/package.ts";
import type { StoredBundle } from "../../../store/contracts/bundles.ts";
import type { Store } from "../../../store/store.ts";

const Json = z.record(z.string(), z.unknown());

const DependencySchema = z
  .discriminatedUnion("type", [
    z.object({
      type: z.literal("github"),
      value: z.object({
        repo_address: z.string(),
        repo: z.string(),
        release: z.string(),
        packages: z.string().meta({ description: "A file of the release; may contain `*`" }),
      }),
    }),
    z.object({
      type: z.literal("marketplace"),
      value: z.object({
        organization: z.string(),
        plugin: z.string(),
        version: z.string().meta({ description: "A version or a range of versions" }),
      }),
    }),
    z.object({
      type: z.literal("package"),
      value: z.object({ unique_identifier: z.string(), manifest: Json.nullable() }),
    }),
  ])
  .openapi("Dependency");

export const BundleSchema = z
  .object({
    identifier: z.string(),
    author: z.string(),
    name: z.string(),
    version: z.string(),
    checksum: z.string(),
    bytes: z.int(),
    manifest: Json,
    warnings: z.array(z.string()),
    dependencies_count: z.int(),
    created_at: z.string().meta({ format: "date-time" }),
  })
  .openapi("Bundle");

export const BundleDetailSchema = BundleSchema.extend({
  dependencies: z.array(DependencySchema),
}).openapi("BundleDetail");

export function bundleJson(stored: StoredBundle): z.input<typeof BundleSchema> {
  return {
    identifier: stored.identifier,
    author: stored.author,
    name: stored.name,
    version: stored.version,
    checksum: stored.checksum,
    bytes: stored.bytes,
    manifest: stored.manifest,
    warnings: [...stored.warnings],
    dependencies_count: stored.dependencies.length,
    created_at: stored.createdAt.toISOString(),
  };
}

/** With the dependencies in their order, and the declarations of those that were in the archive. */
export async function bundleDetailJson(
  stored: StoredBundle,
  { packages }: Pick<Store, "packages">,
): Promise<z.input<typeof BundleDetailSchema>> {
  const dependencies: z.input<typeof DependencySchema>[] = [];
  for (const dependency of stored.dependencies) {
    const manifest =
      dependency.type === "package" ? (await packages.find(dependency.identifier))?.declaration : undefined;
    dependencies.push(dependencyJson(dependency, manifest));
  }
  return { ...bundleJson(stored), dependencies };
}

function dependencyJson(
  dependency: PluginDependency,
  manifest: DeclarationJson | undefined,
): z.input<typeof DependencySchema> {
  switch (dependency.type) {
    case "github": {
      const { repo, release, asset } = dependency;
      const value = { repo_address: `https://github.com/${repo}`, repo, release, packages: asset };
      return { type: "github", value };
    }
    case "marketplace": {
      const { organization, plugin, version } = dependency;
      return { type: "marketplace", value: { organization, plugin, version } };
    }
    case "package":
      return {
        type: "package",
        value: { unique_identifier: dependency.identifier, manifest: manifest ?? null },
      };
    default:
      return dependency satisfies never;
  }
}
