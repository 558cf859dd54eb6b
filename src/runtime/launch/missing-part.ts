/** Tells whether a plugin failed for a library or a program that its image does not have, and which variant has it. */
import { VARIANT_PACKAGES, type VariantPackage } from "./variant-table.ts";

const LIBRARY = /(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/;
const SHELL = /\b(?:ba)?sh: (?:line )?\d+: ([\w.+-]+): (?:command )?not found/;
/** Also said of files of data, so it counts for known programs only. */
const FILE = /\[Errno 2\] No such file or directory: '([\w.+-]+)'/;

/** A plugin's text may be as long as it likes, and the search takes longer than its length. */
const CHARACTERS_MAX = 2_000;
/** Lines of a plugin's output that say why it ended; others may be about what it can do without. */
const CAUSE = /^(?:[\w.]+(?:Error|Exception): |(?:\/bin\/)?(?:ba)?sh: )/;

/** As `explainMissingPart`, for the last output of a plugin that ended: its last cause that is one. */
export function explainMissingInOutput(lines: readonly string[], pluginId: string): string | undefined {
  for (const line of lines.filter((one) => CAUSE.test(one)).reverse()) {
    const why = explainMissingPart(line, pluginId);
    if (why !== undefined) return why;
  }
  return undefined;
}

/**
 * A sentence for whoever runs the plugin; undefined where the text of an error names no library and no program that its
 * image lacks. Reads the first 2,000 characters.
 */
export function explainMissingPart(given: string, pluginId: string): string | undefined {
  const text = given.slice(0, CHARACTERS_MAX);
  const library = LIBRARY.exec(text)?.[1];
  if (library !== undefined) return describe("library", library, pluginId);
  const found = VARIANT_PACKAGES.find(({ texts }) => texts.some((one) => text.includes(one)));
  if (found !== undefined) return advise(`what the Debian package ${found.name} brings`, found, pluginId);
  const program = SHELL.exec(text)?.[1];
  if (program !== undefined) return describe("program", program, pluginId);
  const file = FILE.exec(text)?.[1];
  return file === undefined || whoHas(file) === undefined ? undefined : describe("program", file, pluginId);
}

function describe(kind: "library" | "program", name: string, pluginId: string): string {
  return advise(`the ${kind} ${name}`, whoHas(name), pluginId);
}

function advise(what: string, found: VariantPackage | undefined, pluginId: string): string {
  if (found === undefined)
    return `It needs ${what}, which its runtime image does not have; a variant of your own can add it (runtime-images/variant).`;
  const { variant } = found;
  return `It needs ${what}, which the variant ${variant} of the runtime image has: run runtime-images/variant ${variant}, set BERTH_PLUGIN_IMAGES=${pluginId}=${variant}, and install the plugin again.`;
}

function whoHas(part: string): VariantPackage | undefined {
  return VARIANT_PACKAGES.find(({ parts }) => parts.includes(part));
}
