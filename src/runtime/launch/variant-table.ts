/** What variants of the runtime image have beyond it: the files `packages` from which `runtime-images/variant` builds them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "../../../runtime-images");

/** One Debian package of a variant. */
export interface VariantPackage {
  readonly variant: string;
  readonly name: string;
  /** Libraries (`libGL.so.1`) and programs in it that plugins use. */
  readonly parts: readonly string[];
  /** Texts of errors that mean that it is missing. */
  readonly texts: readonly string[];
}

/** Packages of the variants beside the runtime image, read when Berth starts. */
export const VARIANT_PACKAGES: readonly VariantPackage[] = readdirSync(FOLDER).flatMap((variant) => {
  const file = join(FOLDER, variant, "packages");
  return existsSync(file) ? parsePackages(variant, readFileSync(file, "utf8")) : [];
});

/** Lines of a file `packages`: `name: part part "text of an error"`; comments and empty lines do not count. */
export function parsePackages(variant: string, content: string): readonly VariantPackage[] {
  return content.split("\n").flatMap((line) => {
    const [, name, rest = ""] = /^ *([a-z0-9][a-z0-9.+-]*)(?:: *(.*))?/.exec(line) ?? [];
    if (name === undefined) return [];
    const words = rest.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
    const texts = words.filter((word) => word.startsWith('"'));
    const parts = words.filter((word) => !word.startsWith('"'));
    return [{ variant, name, parts, texts: texts.map((text) => text.slice(1, -1).replaceAll('\\"', '"')) }];
  });
}
