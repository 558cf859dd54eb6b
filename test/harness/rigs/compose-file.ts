/**
 * Reads `docker-compose.yml` as Compose does: variables of `.env` filled in, merge keys merged. The schema holds exactly
 * the keys that the harness acts on. A key that is not here is an error, so that the file cannot come to say something
 * that no test runs.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";

const Duration = z
  .string()
  .regex(/^\d+s$/)
  .transform((text) => Number(text.slice(0, -1)));
const UNITS = { k: 1 << 10, m: 1 << 20, g: 1 << 30 } as const;
const Bytes = z
  .string()
  .regex(/^\d+[kmg]$/)
  .transform((text) => Number(text.slice(0, -1)) * (UNITS[text.slice(-1) as keyof typeof UNITS] ?? 0));
const Words = z.array(z.string());

const Bind = z.strictObject({
  type: z.literal("bind"),
  source: z.string().startsWith("/"),
  target: z.string().startsWith("/"),
  bind: z.strictObject({ create_host_path: z.literal(false) }).optional(),
});
const Volume = z.strictObject({ type: z.literal("volume"), source: z.string(), target: z.string() });

const Healthcheck = z.strictObject({
  test: z.tuple([z.enum(["CMD", "CMD-SHELL"])], z.string()),
  interval: Duration,
  timeout: Duration,
  start_period: Duration,
  retries: z.number().int(),
});

const Service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.literal(".") }).optional(),
  command: Words.optional(),
  user: z.string().optional(),
  group_add: Words.default([]),
  init: z.boolean().default(false),
  read_only: z.boolean().default(false),
  tmpfs: Words.default([]),
  cap_drop: Words.default([]),
  security_opt: Words.default([]),
  env_file: Words.default([]),
  environment: z.record(z.string(), z.string()).default({}),
  secrets: Words.default([]),
  volumes: z.array(z.discriminatedUnion("type", [Bind, Volume])).default([]),
  networks: Words.min(1),
  ports: z.array(z.string().regex(/^[\d.]+:\d+:\d+$/)).default([]),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.literal("service_healthy") })).default({}),
  healthcheck: Healthcheck.optional(),
  restart: z.enum(["no", "unless-stopped"]),
  stop_grace_period: Duration,
  mem_limit: Bytes,
  pids_limit: z.number().int(),
  cpu_shares: z.number().int(),
  shm_size: Bytes.optional(),
  logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }),
});

const File = z.strictObject({
  name: z.string(),
  services: z.record(z.string(), Service),
  networks: z.record(z.string(), z.strictObject({ internal: z.boolean().default(false) })),
  volumes: z.record(z.string(), z.strictObject({})),
  secrets: z.record(z.string(), z.strictObject({ file: z.string() })),
});

export type ComposeFile = z.infer<typeof File>;
export type ComposeService = z.infer<typeof Service>;

/** `values` come before those in `.env`, as a shell's own do. */
export async function readComposeFile(
  folder: string,
  values: Readonly<Record<string, string>>,
): Promise<ComposeFile> {
  const env = { ...(await readEnvFile(join(folder, ".env"))), ...values };
  const text = await readFile(join(folder, "docker-compose.yml"), "utf8");
  return parseComposeFile(text, env);
}

export function parseComposeFile(text: string, env: Readonly<Record<string, string>>): ComposeFile {
  const filled = filledCompose(text, env);
  const kept = Object.entries(z.record(z.string(), z.unknown()).parse(filled)).filter(
    ([key]) => !key.startsWith("x-"),
  );
  return File.parse(Object.fromEntries(kept));
}

/** A file's content with the values of the environment in it. */
export function filledCompose(text: string, env: Readonly<Record<string, string>>): unknown {
  return fill(parse(text, { merge: true }), env);
}

/** `NAME=value`, one a line. */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => /^[^#\s]/.test(line));
  return Object.fromEntries(lines.map((line) => [line.split("=", 1)[0], line.slice(line.indexOf("=") + 1)]));
}

function fill(value: unknown, env: Readonly<Record<string, string>>): unknown {
  if (typeof value === "string") return fillText(value, env);
  if (Array.isArray(value)) return value.map((item) => fill(item, env));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, env)]));
}

/** `$$`, `${NAME}`, `${NAME:-instead}` and `${NAME:?what is wrong without it}`; any other `$` is an error. */
function fillText(text: string, env: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\}|)/g, (found, name, operator, rest) => {
    if (found === "$$") return "$";
    if (found === "$") throw new Error(`a single $ in ${text}`);
    const value = env[name] ?? "";
    if (value !== "") return value;
    if (operator === "-") return rest;
    throw new Error(`${name} is not set: ${rest ?? "and has no default"}`);
  });
}
