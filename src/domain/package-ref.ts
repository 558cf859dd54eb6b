import { Fault } from "./fault.ts";

/** The parts of `author/name:version@checksum`. */
export interface PackageRef {
  readonly author: string;
  readonly name: string;
  readonly version: string;
  readonly checksum: string;
}

/** Length of the columns that hold an identifier; the grammar alone allows 290 characters. */
const IDENTIFIER_LENGTH_MAX = 255;

export const AUTHOR_PATTERN = /^[a-z0-9_-]{1,64}$/;
export const NAME_PATTERN = /^[a-z0-9_-]{1,128}$/;
/** Three numbers, and optionally a tag without dots or hyphens: `1.2.3-beta1`. */
export const VERSION_PATTERN = /^\d{1,4}(\.\d{1,4}){2}(-\w{1,16})?$/;
/** Looser than the rules above: a manifest may say a version of two or four numbers. */
export const IDENTIFIER_PATTERN =
  /^(?:([a-z0-9_-]{1,64})\/)?([a-z0-9_-]{1,255}):([0-9]{1,4})(\.[0-9]{1,4}){1,3}(-\w{1,16})?@[a-f0-9]{32,64}$/;
const IDENTIFIER_VERSION_PATTERN = /^[0-9]{1,4}(\.[0-9]{1,4}){1,3}(-\w{1,16})?$/;
const CHECKSUM_PATTERN = /^[a-f0-9]{32,64}$/;
const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Reads the identifier of a package. Throws `invalid_input`, `identifier_too_long`. */
export function parsePackageRef(text: string, field = "identifier"): PackageRef {
  checkLength(text, field);
  const at = text.lastIndexOf("@");
  const colon = text.lastIndexOf(":", at);
  const slash = text.indexOf("/");
  const wrong = !IDENTIFIER_PATTERN.test(text) || slash < 0;
  if (wrong) {
    throw new Fault("invalid_input", `${field} is not the identifier of a package.`, {
      details: { field, value: text, accepted: "author/name:version@checksum" },
    });
  }
  return {
    author: text.slice(0, slash),
    name: text.slice(slash + 1, colon),
    version: text.slice(colon + 1, at),
    checksum: text.slice(at + 1),
  };
}

/** Writes the identifier. Throws `invalid_input` for a part that breaks its rule, `identifier_too_long`. */
export function formatPackageRef(ref: PackageRef): string {
  checkPart("author", ref.author, AUTHOR_PATTERN);
  checkPart("name", ref.name, NAME_PATTERN);
  checkPart("version", ref.version, IDENTIFIER_VERSION_PATTERN);
  checkPart("checksum", ref.checksum, CHECKSUM_PATTERN);
  const text = `${ref.author}/${ref.name}:${ref.version}@${ref.checksum}`;
  checkLength(text, "identifier");
  return text;
}

/** `author/name` */
export function formatPluginId({ author, name }: Pick<PackageRef, "author" | "name">): string {
  return `${author}/${name}`;
}

/** `author/name` of an identifier, which may be incomplete. */
export function pluginIdOf(identifier: string): string {
  const colon = identifier.lastIndexOf(":", identifier.lastIndexOf("@"));
  return colon < 0 ? identifier : identifier.slice(0, colon);
}

/** True for an author that names a debug connection rather than a person: no uploaded package may have one. */
export function isUuidAuthor(author: string): boolean {
  return UUID_PATTERN.test(author.toLowerCase());
}

/** True where a manifest's version fits the grammar of identifiers. */
export function isIdentifierVersion(version: string): boolean {
  return IDENTIFIER_VERSION_PATTERN.test(version);
}

function checkPart(field: string, value: string, pattern: RegExp): void {
  if (pattern.test(value)) return;
  throw new Fault("invalid_input", `${field} is ${JSON.stringify(value)}; accepted: ${pattern.source}.`, {
    details: { field, value, accepted: pattern.source },
  });
}

function checkLength(text: string, field: string): void {
  if (text.length <= IDENTIFIER_LENGTH_MAX) return;
  throw new Fault(
    "identifier_too_long",
    `${field} has ${text.length} characters; accepted: at most ${IDENTIFIER_LENGTH_MAX}. Shorten author or name.`,
    { details: { field, value: text.length, accepted: IDENTIFIER_LENGTH_MAX } },
  );
}
