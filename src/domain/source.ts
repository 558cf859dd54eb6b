import { z } from "zod";
import { isFault } from "./fault.ts";
import { parsePackageRef } from "./package-ref.ts";

/** No control characters and no lone surrogates: the text becomes part of a URL and of a log line. */
const PRINTABLE = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+$/u;
const REPOSITORY = /^[A-Za-z0-9][A-Za-z0-9-]{0,38}\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;

function name(what: string, accepts: (text: string) => boolean) {
  return z
    .string()
    .max(255)
    .refine((text) => PRINTABLE.test(text) && accepts(text), { error: what })
    .meta({ description: what });
}

const Marketplace = z.strictObject({
  type: z.literal("marketplace"),
  identifier: z
    .string()
    .refine(isIdentifier, { error: "`author/name:version@checksum`" })
    .meta({ description: "`author/name:version@checksum`, as the marketplace shows it" }),
});

const Github = z.strictObject({
  type: z.literal("github"),
  repo: z
    .string()
    .refine((text) => REPOSITORY.test(text), { error: "`owner/repository`" })
    .meta({ description: "`owner/repository`" }),
  release: name("tag of the release", (text) => !/(^|\/)\.{0,2}(\/|$)/.test(text)),
  asset: name("file name of the release's asset", (text) => !/[/\\]|^\.{1,2}$/.test(text)),
});

const Url = z.strictObject({
  type: z.literal("url"),
  url: z
    .string()
    .max(2000)
    .refine(isPlainHttps, { error: "an `https://` URL without user and password" })
    .meta({ description: "`https://` URL of the archive" }),
  sha256: z
    .string()
    .refine((text) => /^[0-9a-f]{64}$/i.test(text), { error: "64 hex digits" })
    .toLowerCase()
    .meta({ description: "SHA-256 of the archive's bytes, hex" }),
});

/** Where an archive is fetched from. */
export const Source = z.discriminatedUnion("type", [Marketplace, Github, Url], {
  error: "a source of the type `marketplace`, `github` or `url`",
});
export type Source = z.infer<typeof Source>;
export type SourceOf<T extends Source["type"]> = Extract<Source, { type: T }>;

/**
 * What the installation stores about its source, under the platform's own names where it has some. The query of a URL
 * is left out: signed addresses carry their secret there.
 */
export function sourceMeta(source: Source): Readonly<Record<string, unknown>> {
  switch (source.type) {
    case "marketplace":
      return { plugin_unique_identifier: source.identifier };
    case "github":
      return { repo: source.repo, version: source.release, package: source.asset };
    case "url":
      return { url: withoutQuery(source.url), sha256: source.sha256 };
    default:
      return source satisfies never;
  }
}

/** The source in words, for messages, events and logs. */
export function formatSource(source: Source): string {
  switch (source.type) {
    case "marketplace":
      return `${source.identifier} of the marketplace`;
    case "github":
      return `${source.asset} of ${source.repo}, release ${source.release}`;
    case "url":
      return withoutQuery(source.url);
    default:
      return source satisfies never;
  }
}

/** The URL without its query, which may be a secret. */
export function withoutQuery(url: string | URL): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

function isIdentifier(text: string): boolean {
  try {
    parsePackageRef(text);
    return true;
  } catch (error) {
    if (isFault(error)) return false;
    throw error;
  }
}

function isPlainHttps(text: string): boolean {
  if (!/^https:\/\/[^\s\\/][^\s\\]*$/i.test(text) || !URL.canParse(text)) return false;
  const { username, password, hash } = new URL(text);
  return username === "" && password === "" && hash === "";
}
