/** What `berth dev` needs to know of a plugin's folder before the plugin itself declares the rest. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { Fault, invalidInput } from "../../domain/fault.ts";

export interface PluginFolder {
  /** `author/name`. */
  readonly pluginId: string;
  /** The module that starts the plugin, as `main`. */
  readonly entrypoint: string;
  /** The Python that the manifest asks for, as `3.12`; undefined where it names none. */
  readonly python: string | undefined;
  /** Bytes of memory that the manifest asks for; undefined where it asks for none. */
  readonly memoryBytes: number | undefined;
}

const Manifest = z.object({
  author: z.string().min(1),
  name: z.string().min(1),
  // What is wrong with it is said when the plugin declares itself.
  resource: z.object({ memory: z.int().positive() }).optional().catch(undefined),
  meta: z.object({
    runner: z.object({
      entrypoint: z.string().regex(/^[A-Za-z_][\w.]*$/, "the name of a Python module"),
      version: z.coerce.string().optional(),
    }),
  }),
});

/** Throws `invalid_input` for anything but a folder, and `manifest_missing` or `manifest_invalid` for its manifest. */
export async function readPluginFolder(folder: string): Promise<PluginFolder> {
  if (!(await stat(folder).catch(() => undefined))?.isDirectory())
    throw invalidInput("DIR", folder, "the folder of a plugin");
  const path = join(folder, "manifest.yaml");
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new Fault("manifest_missing", `${path} cannot be read.`, { cause });
  });
  const { author, name, meta, resource } = parseManifest(path, text);
  const python = /^3\.\d+/.exec(meta.runner.version ?? "")?.[0];
  return {
    pluginId: `${author}/${name}`,
    entrypoint: meta.runner.entrypoint,
    python,
    memoryBytes: resource?.memory,
  };
}

function parseManifest(path: string, text: string): z.infer<typeof Manifest> {
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new Fault("manifest_invalid", `${path} is not YAML.`, { cause });
  }
  const { data, error } = Manifest.safeParse(value);
  if (data !== undefined) return data;
  const problems = error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new Fault("manifest_invalid", `${path} is wrong: ${problems.join("; ")}.`);
}
