/** Reads `pyproject.toml`: what a project asks for, without running its build backend. */
import { parse, stringify } from "smol-toml";
import { z } from "zod";
import { type DependencyFiles, fileFault, type Origin, readText } from "./dependency-files.ts";

export const PROJECT_FILE = "pyproject.toml";
const ORIGIN: Origin = { file: PROJECT_FILE, line: undefined };

const Group = z.array(z.union([z.string(), z.object({ "include-group": z.string() })]));
const Source = z.looseObject({
  git: z.string().optional(),
  rev: z.string().optional(),
  tag: z.string().optional(),
  branch: z.string().optional(),
  subdirectory: z.string().optional(),
  path: z.string().optional(),
  url: z.string().optional(),
  marker: z.string().optional(),
});
const Files = z.union([z.string(), z.array(z.string())]).transform((files) => [files].flat());

const ProjectFile = z.looseObject({
  project: z
    .looseObject({
      name: z.string().regex(/^[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?$/, "is not the name of a package"),
      version: z.string().optional(),
      dependencies: z.array(z.string()).optional(),
      dynamic: z.array(z.string()).default([]),
    })
    .optional(),
  "dependency-groups": z.record(z.string(), Group).default({}),
  tool: z
    .looseObject({
      poetry: z.looseObject({ dependencies: z.unknown().optional() }).optional(),
      setuptools: z
        .looseObject({
          dynamic: z.looseObject({ dependencies: z.looseObject({ file: Files }).optional() }).optional(),
        })
        .optional(),
      uv: z
        .looseObject({
          "default-groups": z.union([z.array(z.string()), z.literal("all")]).optional(),
          sources: z.record(z.string(), z.union([Source, z.array(Source)])).default({}),
        })
        .optional(),
    })
    .default({}),
});

export interface Project {
  readonly hasProject: boolean;
  /** Undefined where the file does not say; `dynamic` then tells whether another file does. */
  readonly dependencies: readonly string[] | undefined;
  readonly isDynamic: boolean;
  /** Requirements files that the backend `setuptools` would read the dependencies from. */
  readonly dynamicFiles: readonly string[];
  readonly hasPoetry: boolean;
  /** Groups that are installed by default, but for `dev`. */
  readonly groups: readonly string[];
  readonly groupLines: readonly string[];
  readonly sources: Readonly<Record<string, z.infer<typeof Source>>>;
  /** Keys of `[tool.uv]` that have no effect here. */
  readonly ignored: readonly string[];
  /** The file without `[tool.uv]`, whose sources, workspaces and indexes are the operator's choice. */
  readonly withoutToolUv: string;
}

/** Throws `dependency_unresolvable` where the file is malformed, with the field. */
export async function readProject(files: DependencyFiles): Promise<Project> {
  const { raw, file } = parseProject(await readText(files, PROJECT_FILE));
  const { project, tool } = file;
  if (project !== undefined && project.version === undefined && !project.dynamic.includes("version")) {
    throw fileFault(
      ORIGIN,
      "[project] has no version.",
      "[project]",
      'version = "...", or dynamic = ["version"]',
    );
  }
  const all = file["dependency-groups"];
  const chosen = tool.uv?.["default-groups"] ?? [];
  const groups = (chosen === "all" ? Object.keys(all) : chosen).filter((name) => name !== "dev");
  const { uv, ...otherTools } = raw.tool ?? {};
  return {
    hasProject: project !== undefined,
    dependencies: project?.dependencies,
    isDynamic: project?.dynamic.includes("dependencies") === true,
    dynamicFiles: tool.setuptools?.dynamic?.dependencies?.file ?? [],
    hasPoetry: tool.poetry?.dependencies !== undefined,
    groups,
    groupLines: groups.flatMap((name) => linesOf(all, name, [])),
    sources: Object.fromEntries(
      Object.entries(tool.uv?.sources ?? {}).flatMap(([name, source]) =>
        Array.isArray(source) ? [] : [[normalise(name), source]],
      ),
    ),
    ignored: Object.keys(uv ?? {}).filter((key) => !UNDERSTOOD.includes(key)),
    withoutToolUv: stringify({ ...raw, tool: otherTools }),
  };
}

/** Keys of `[tool.uv]` that are followed, or that say nothing about what is installed. */
const UNDERSTOOD: readonly string[] = ["default-groups", "sources", "dev-dependencies", "package", "managed"];

interface RawProject {
  readonly tool?: Readonly<Record<string, unknown>>;
}

function parseProject(text: string): { raw: RawProject; file: z.infer<typeof ProjectFile> } {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    const reason = String(error instanceof Error ? error.message : error).split("\n")[0] ?? "";
    const line = Number(Reflect.get(Object(error), "line")) || undefined;
    throw fileFault({ file: PROJECT_FILE, line }, `The file is not TOML (${reason}).`, reason, "TOML 1.0");
  }
  const file = ProjectFile.safeParse(raw);
  if (file.success) return { raw: raw as RawProject, file: file.data };
  const { path = [], message = "" } = file.error.issues[0] ?? {};
  const field = path.join(".");
  throw fileFault(
    ORIGIN,
    `${field} is malformed (${message}).`,
    field,
    "the types that the format prescribes",
  );
}

function linesOf(
  groups: Readonly<Record<string, z.infer<typeof Group>>>,
  name: string,
  above: readonly string[],
): string[] {
  const found = Object.entries(groups).find(([other]) => normalise(other) === normalise(name))?.[1];
  if (found === undefined) {
    const accepted = Object.keys(groups).join(", ") || "a group of [dependency-groups]";
    throw fileFault(ORIGIN, `There is no dependency group "${name}".`, name, accepted);
  }
  if (above.includes(name)) {
    throw fileFault(
      ORIGIN,
      `The dependency group "${name}" includes itself.`,
      name,
      "groups without a cycle",
    );
  }
  return found.flatMap((item) =>
    typeof item === "string" ? [item] : linesOf(groups, item["include-group"], [...above, name]),
  );
}

/** The name of a package as an index compares it. */
export function normalise(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, "-");
}
