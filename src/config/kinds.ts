/** The kinds of settings: how the text of one is parsed, and the words for what it accepts. */
import { isIP } from "node:net";
import { z } from "zod";
import { DESTINATION_ACCEPTED, parseDestination } from "../domain/destination.ts";
import { HOST_CALL_PLACES_ACCEPTED, type HostCallPlaces, parseHostCallPlaces } from "../domain/host-call.ts";
import {
  PLUGIN_VARIANTS_ACCEPTED,
  type PluginVariants,
  parsePluginVariants,
} from "../domain/plugin-variants.ts";

export interface Setting<T> {
  readonly parse: z.ZodType<T, string>;
  readonly accepted: string;
  /** As it would be written in the environment; undefined: not set. */
  readonly default: string | undefined;
  readonly about: string;
  /** Its value is never printed. */
  readonly secret?: true;
}

export function text<const D extends string>(fallback: D, about: string) {
  return { parse: z.string() as z.ZodType<string, string>, accepted: "text", default: fallback, about };
}

export function optional(about: string) {
  return {
    parse: z.string().min(1) as z.ZodType<string, string>,
    accepted: "text",
    default: undefined,
    about,
  };
}

export function secret(about: string) {
  return { ...optional(about), secret: true as const };
}

/** A path below another folder, without slashes at its ends. */
export function relativePath<const D extends string>(fallback: D, about: string) {
  const parse = z
    .string()
    .transform((given) => given.split("/").filter(isNamed).join("/"))
    .refine((path) => /^[\w.-]+(\/[\w.-]+)*$/.test(path) && !path.split("/").includes("..")) as z.ZodType<
    string,
    string
  >;
  return {
    parse,
    accepted: "letters, digits, `_`, `.`, `-`, and `/` between them",
    default: fallback,
    about,
  };
}

function isNamed(part: string): boolean {
  return part !== "" && part !== ".";
}

/** Some programs read a proxy without a scheme as `http://` and others refuse it, so the scheme is always added. */
export function proxyUrl(about: string) {
  const parse = z
    .string()
    .transform((given) => (given.includes("://") ? given : `http://${given}`))
    .refine((url) => isHttpUrl(url) && /^[^/]+:\/\/[^/?#]+\/?$/.test(url)) as z.ZodType<string, string>;
  const accepted =
    "`http://host:port` or `https://host:port`, with `user:password@` before the host where needed";
  return { parse, accepted, default: undefined, about, secret: true as const };
}

/** The URL of a server to which paths are appended, without the last slash. */
export function baseUrl<const D extends string>(fallback: D, about: string) {
  const parse = z
    .string()
    .refine((url) => isHttpUrl(url) && /^[^?#@]+$/.test(url))
    .transform((url) => url.replace(/\/+$/, "")) as z.ZodType<string, string>;
  const accepted = "an `http://` or `https://` URL without password, `?` and `#`";
  return { parse, accepted, default: fallback, about };
}

export function networks(about: string) {
  const parse = z
    .string()
    .transform((given) => given.split(/[\s,]+/).filter((one) => one !== ""))
    .refine((all) => all.every(isNetwork)) as z.ZodType<readonly string[], string>;
  const accepted = "addresses and networks (`10.1.0.0/16`), comma-separated";
  return { parse, accepted, default: "", about };
}

/** Destinations that plugins may reach; `parseDestination` decides what is one. */
export function destinations(about: string) {
  const parse = z
    .string()
    .transform((given) => given.split(/[\s,]+/).filter((one) => one !== ""))
    .refine((all) => all.every((one) => parseDestination(one) !== undefined)) as z.ZodType<
    readonly string[],
    string
  >;
  return { parse, accepted: `${DESTINATION_ACCEPTED}, comma-separated`, default: "", about };
}

/** Who serves plugins' calls back; `parseHostCallPlaces` decides what is accepted. */
export function hostCallPlaces(about: string) {
  const parse = z.string().transform((given, context) => {
    const places = parseHostCallPlaces(given);
    if (places === undefined) context.addIssue({ code: "custom" });
    return places ?? { types: {} };
  }) as z.ZodType<HostCallPlaces, string>;
  return { parse, accepted: HOST_CALL_PLACES_ACCEPTED, default: "", about };
}

/** Variants of the runtime image by plugin; `parsePluginVariants` decides what is accepted. */
export function pluginVariants(about: string) {
  const parse = z.string().transform((given, context) => {
    const variants = parsePluginVariants(given);
    if (variants === undefined) context.addIssue({ code: "custom" });
    return variants ?? {};
  }) as z.ZodType<PluginVariants, string>;
  return { parse, accepted: PLUGIN_VARIANTS_ACCEPTED, default: "", about };
}

/** Maps names to addresses. */
export function hosts(about: string) {
  const parse = z
    .string()
    .transform((given) => given.split(/[\s,]+/).filter((one) => one !== ""))
    .refine((all) => all.every((one) => /^[a-z0-9_.-]+=(gateway|[\d.]+)$/i.test(one)))
    .refine((all) => all.every((one) => one.endsWith("=gateway") || isIP(one.split("=")[1] ?? "") === 4))
    .transform((all) => Object.fromEntries(all.map((one) => one.toLowerCase().split("=")))) as z.ZodType<
    Readonly<Record<string, string>>,
    string
  >;
  const accepted = "`name=IPv4 address` or `name=gateway`, comma-separated";
  return { parse, accepted, default: "", about };
}

/** A private IPv4 network that two bridges fit in. */
export function subnet(about: string) {
  const parse = z
    .string()
    .refine((given) => isNetwork(given) && /^[\d.]+\/(8|9|1\d|2[0-7])$/.test(given)) as z.ZodType<
    string,
    string
  >;
  return { parse, accepted: "an IPv4 network of /8 to /27 (`10.200.0.0/20`)", default: undefined, about };
}

function isNetwork(text: string): boolean {
  const [address = "", prefix = "0", ...rest] = text.split("/");
  const family = isIP(address);
  return (
    family !== 0 &&
    rest.length === 0 &&
    /^\d{1,3}$/.test(prefix) &&
    Number(prefix) <= (family === 6 ? 128 : 32)
  );
}

export function indexUrl(about: string) {
  const parse = z.string().refine(isHttpUrl) as z.ZodType<string, string>;
  return {
    parse,
    accepted: "an `http://` or `https://` URL",
    default: undefined,
    about,
    secret: true as const,
  };
}

export function indexUrls(about: string) {
  const parse = z
    .string()
    .transform((given) => given.split(/\s+/).filter((url) => url !== ""))
    .refine((urls) => urls.every(isHttpUrl)) as z.ZodType<readonly string[], string>;
  const accepted = "`http://` or `https://` URLs with spaces between them";
  return { parse, accepted, default: undefined, about, secret: true as const };
}

/** Refuses white space, which would split one URL in two in the installer's environment. */
function isHttpUrl(url: string): boolean {
  return /^https?:\/\/\S+$/i.test(url) && URL.canParse(url);
}

/** A name of the time zone database. */
export function timeZone(about: string) {
  return matching(isTimeZone, "a name of the time zone database (`Europe/Berlin`, `UTC`)", about);
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}

export function matching(test: (value: string) => boolean, accepted: string, about: string) {
  const parse = z.string().refine(test) as z.ZodType<string, string>;
  return { parse, accepted, default: undefined, about };
}

export function whole(min: number, max: number, fallback: string, about: string) {
  const parse = z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .refine((n) => n >= min && n <= max) as z.ZodType<number, string>;
  return { parse, accepted: `a whole number from ${min} to ${max}`, default: fallback, about };
}

/** As `whole`, and may be negative. */
export function integer(min: number, max: number, fallback: string, about: string) {
  const parse = z
    .string()
    .regex(/^-?\d{1,15}$/)
    .transform(Number)
    .refine((n) => n >= min && n <= max) as z.ZodType<number, string>;
  return { parse, accepted: `a whole number from ${min} to ${max}`, default: fallback, about };
}

export function decimal(min: number, max: number, fallback: string, about: string) {
  const parse = z
    .string()
    .regex(/^\d{1,15}(\.\d{1,6})?$/)
    .transform(Number)
    .refine((n) => n >= min && n <= max) as z.ZodType<number, string>;
  return { parse, accepted: `a number from ${min} to ${max}`, default: fallback, about };
}

export function oneOf<const T extends readonly [string, ...string[]]>(
  choices: T,
  fallback: T[number],
  about: string,
) {
  const parse = z.enum(choices) as unknown as z.ZodType<T[number], string>;
  return { parse, accepted: choices.join(", "), default: fallback, about };
}

/** The URL of a server, perhaps with the path of a proxy; without password, query and fragment. */
export function publicUrl(about: string) {
  const accepted = "`https://host[:port]`, or `http://`, with a path where a proxy adds one";
  return matching((value) => URL.canParse(value) && isPublicUrl(new URL(value)), accepted, about);
}

/** As `publicUrl`, and without a path. */
export function bareUrl(about: string) {
  const isBare = (url: URL) => isPublicUrl(url) && url.pathname === "/";
  const accepted = "`https://host[:port]`, or `http://`";
  return matching((value) => URL.canParse(value) && isBare(new URL(value)), accepted, about);
}

function isPublicUrl({ protocol, username, password, search, hash }: URL): boolean {
  return (protocol === "https:" || protocol === "http:") && `${username}${password}${search}${hash}` === "";
}

/** An optional whole number that limits something. */
export function quota(about: string) {
  const parse = z
    .string()
    .regex(/^\d{1,8}$/)
    .transform(Number) as z.ZodType<number, string>;
  return { parse, accepted: "a whole number from 0 to 99999999", default: undefined, about };
}
