/**
 * The dependencies of a package, made safe for the installer. A package names requirements and versions; the operator
 * chooses where they come from. So options that choose an index, a cache or sources are removed, and a requirement that
 * names its own address is refused.
 */
import { Fault } from "../../../domain/fault.ts";

/** The package's files that name dependencies, as uploaded. */
export interface DependencyFiles {
  readonly pyproject: Buffer | undefined;
  readonly lock: Buffer | undefined;
  readonly requirements: Buffer | undefined;
}

export interface Dependencies {
  readonly kind: "lock" | "pyproject" | "requirements" | "none";
  /** Files that the installer reads; together they determine the layer. */
  readonly files: readonly { readonly name: string; readonly content: Buffer }[];
  readonly warnings: readonly string[];
}

/** A lock wins, then a `pyproject.toml` with a `[project]`, then `requirements.txt`. A package may have none of them. */
export function chooseDependencies({ pyproject, lock, requirements }: DependencyFiles): Dependencies {
  if (pyproject !== undefined && lock !== undefined) {
    return {
      kind: "lock",
      files: [
        { name: "pyproject.toml", content: withoutToolUv(pyproject) },
        { name: "uv.lock", content: lock },
      ],
      warnings: [],
    };
  }
  if (
    pyproject !== undefined &&
    (requirements === undefined || /^\s*\[project\]/m.test(pyproject.toString()))
  ) {
    return {
      kind: "pyproject",
      files: [{ name: "pyproject.toml", content: withoutToolUv(pyproject) }],
      warnings: ["The package has no uv.lock: its dependencies are resolved at each build of its image."],
    };
  }
  if (requirements === undefined) return { kind: "none", files: [], warnings: [] };
  const read = readRequirements(requirements.toString());
  if (read.lines.length === 0) return { kind: "none", files: [], warnings: read.warnings };
  const content = Buffer.from(`${read.lines.join("\n")}\n`);
  return { kind: "requirements", files: [{ name: "requirements.txt", content }], warnings: read.warnings };
}

/**
 * Drops every `[tool.uv]` table. The installer's settings make it ignore configuration files; this removes the parts
 * that it reads as project metadata too: sources, workspaces, default groups.
 */
function withoutToolUv(pyproject: Buffer): Buffer {
  const kept: string[] = [];
  let dropping = false;
  for (const line of pyproject.toString().split("\n")) {
    const header = /^\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}\s*(#.*)?$/.exec(line);
    if (header?.[1] !== undefined) dropping = /^"?tool"?\s*\.\s*"?uv"?(\s*\.|$)/.test(header[1]);
    if (!dropping) kept.push(line);
  }
  return Buffer.from(kept.join("\n"));
}

const OPTION = /^--?[a-zA-Z]/;
/** Options that only pin what was locked; everything else that an option does is the operator's choice. */
const OPTIONS_KEPT = /^--hash[= ]/;

function readRequirements(text: string): { lines: string[]; warnings: string[] } {
  const lines: string[] = [];
  const warnings: string[] = [];
  for (const raw of text
    .replace(/^\uFEFF/, "")
    .replace(/\\\r?\n/g, " ")
    .split(/\r?\n/)) {
    const line = raw.replace(/(^|\s)#.*$/, "").trim();
    if (line === "") continue;
    if (OPTION.test(line) && !OPTIONS_KEPT.test(line)) {
      refuseOption(line);
      warnings.push(
        `requirements.txt: ${line.split(/[= ]/)[0]} is ignored; the operator chooses where wheels come from.`,
      );
      continue;
    }
    refuseAddresses(line);
    lines.push(line);
  }
  return { lines, warnings };
}

/** Refuses options without which the file would mean something else; others are ignored with a warning. */
function refuseOption(line: string): void {
  if (!/^(-r|-c|-e|--requirement|--constraint|--editable)\b/.test(line)) return;
  throw new Fault(
    "dependency_unresolvable",
    `requirements.txt has the line "${cut(line)}", which is not supported.`,
    {
      details: { field: "requirements.txt", value: cut(line), accepted: "one requirement per line" },
    },
  );
}

/** Throws for requirements that name their own address: `source_build_refused` where they are sources. */
export function refuseAddresses(requirement: string): void {
  const address = /^\S[^;]*?@\s*(\S+:\/\/\S+|\.{0,2}\/\S+)|^(\S+:\/\/\S+|\.{1,2}\/\S+|\/\S+)/.exec(
    requirement,
  );
  if (address === null) return;
  const target = (address[1] ?? address[2] ?? "").replace(/[#?].*$/, "");
  const details = {
    field: "dependencies",
    value: cut(requirement),
    accepted: "a requirement by name and version, found as a wheel in the index",
  };
  if (target.endsWith(".whl")) {
    throw new Fault(
      "dependency_unresolvable",
      `The requirement "${cut(requirement)}" names its own address; wheels come from the operator's index only.`,
      { details },
    );
  }
  throw new Fault(
    "source_build_refused",
    `The requirement "${cut(requirement)}" needs a build from source.`,
    {
      details,
    },
  );
}

function cut(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
