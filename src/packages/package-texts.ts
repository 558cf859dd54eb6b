/** Reads a package's texts for people from its archive: assets, READMEs in their languages, the privacy notice. */
import { createHash } from "node:crypto";
import { posix } from "node:path";
import { storableText } from "../util/storable.ts";
import type { PackageFiles } from "./archive/archive.ts";

const ASSETS = "_assets/";
const ASSET_ID = /^[0-9a-f]{64}(\.[^/]*)?$/;
const README = /^readme\/README_([a-z]{2}_[A-Za-z]{2,})\.md$/;
const LANGUAGE_CHARS_MAX = 10;

/** Size of one text; a longer one is ignored. */
const TEXT_BYTES_MAX = 1_048_576;

/**
 * The path of an asset, by its name below `_assets/` or by the id under which a declaration shows it. The id is a digest:
 * to find it, all assets with its extension may have to be read.
 */
export async function findAsset(files: PackageFiles, name: string): Promise<string | undefined> {
  if (files.has(ASSETS + name)) return ASSETS + name;
  if (!ASSET_ID.test(name)) return undefined;
  const extension = posix.extname(name);
  const candidates = files.paths.filter(
    (path) => path.startsWith(ASSETS) && posix.extname(path) === extension,
  );
  for (const path of candidates) {
    const hash = createHash("sha256");
    for await (const chunk of files.stream(path)) hash.update(chunk);
    if (`${hash.update(path.slice(ASSETS.length)).digest("hex")}${extension}` === name) return path;
  }
  return undefined;
}

/** The READMEs by language; `README.md` is the English one. */
export async function readReadmes(files: PackageFiles): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const english = await readText(files, "README.md");
  if (english !== undefined) found.set("en_US", english);
  for (const path of files.paths) {
    const language = README.exec(path)?.[1];
    if (language === undefined || language.length > LANGUAGE_CHARS_MAX) continue;
    const text = await readText(files, path);
    if (text !== undefined && !found.has(language)) found.set(language, text);
  }
  return found;
}

/** The README in that language, else in English, else in any. */
export function chooseReadme(
  readmes: ReadonlyMap<string, string>,
  language: string,
): { readonly language: string; readonly content: string } | undefined {
  const languages = [language, "en_US", ...[...readmes.keys()].sort()];
  const chosen = languages.find((it) => readmes.has(it));
  const content = chosen === undefined ? undefined : readmes.get(chosen);
  return chosen === undefined || content === undefined ? undefined : { language: chosen, content };
}

export type Privacy =
  | { readonly type: "file"; readonly path: string; readonly content: string }
  | { readonly type: "url"; readonly url: string };

/** The privacy notice that the manifest's `privacy` names, a file or a URL; where it names none, `PRIVACY.md`. */
export async function readPrivacy(files: PackageFiles, named: unknown): Promise<Privacy | undefined> {
  const text = typeof named === "string" ? named.trim() : "";
  if (/^https?:\/\//i.test(text)) return URL.canParse(text) ? { type: "url", url: text } : undefined;
  const paths = [text.replace(/^\.\//, ""), "PRIVACY.md"];
  for (const path of paths) {
    const content = path === "" ? undefined : await readText(files, path);
    if (content !== undefined) return { type: "file", path, content };
  }
  return undefined;
}

/** Reads a text without characters that databases refuse; invalid UTF-8 becomes U+FFFD. */
async function readText(files: PackageFiles, path: string): Promise<string | undefined> {
  if (!files.has(path) || files.bytesOf(path) > TEXT_BYTES_MAX) return undefined;
  const text = (await files.read(path, TEXT_BYTES_MAX)).toString("utf8");
  return storableText(text.replace(/^\uFEFF/, ""));
}
