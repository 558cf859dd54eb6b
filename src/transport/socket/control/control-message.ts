import { z } from "zod";

/** Whole numbers only: no field has a use for others. */
const count = z.int().nonnegative();
/** Short, and storable in logs and databases: no control character, no half of a surrogate pair. */
const name = z
  .string()
  .max(256)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern refuses them.
  .refine((text) => text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text));
const proven = { count: count.optional(), proof: z.hex().length(64).optional() };

/** The first line of each connection. */
const Hello = z.discriminatedUnion("hello", [
  z.object({ hello: z.literal("data"), ...proven }),
  z.object({ hello: z.literal("control"), ready: z.boolean(), ...proven }),
]);
export type Hello = z.infer<typeof Hello>;

const SESSIONS_MAX = 65_536;

/** The messages of the runner on the control connection after its hello. */
const ControlMessage = z.discriminatedUnion("op", [
  z.object({ op: z.literal("ready") }),
  z.object({
    op: z.literal("pong"),
    id: count,
    alive: z.boolean(),
    heartbeat_age_ms: count.nullable(),
    resident_bytes: count,
    oom_kills: count,
    open_sessions: count,
    stopped: z.boolean().optional(),
    late_ms: count.optional(),
  }),
  z.object({
    op: z.literal("exit"),
    exit_code: count.max(255).nullable(),
    signal: z
      .string()
      .regex(/^SIG[A-Z0-9]{1,16}$/)
      .nullable(),
    oom: z.boolean(),
  }),
  z.object({ op: z.literal("frame_too_large"), session_id: name, bytes: count }),
  z.object({
    op: z.literal("dropped"),
    session_ids: z.array(name).max(SESSIONS_MAX),
    lines: count,
    bytes: count,
  }),
  z.object({
    op: z.literal("notice"),
    kind: z.enum(["line_too_large", "foreign_call"]),
    bytes: count.optional(),
    count: count.optional(),
  }),
]);
export type ControlMessage = z.infer<typeof ControlMessage>;

export function parseHello(text: string): Hello | undefined {
  return Hello.safeParse(parseJson(text)).data;
}

const OPS: ReadonlySet<string> = new Set(ControlMessage.options.map(({ shape }) => shape.op.value));

/** Undefined for an operation of a newer runner that this release does not know; `refused` for a value out of bounds. */
export function parseControlMessage(text: string): ControlMessage | "refused" | undefined {
  const value = parseJson(text);
  const parsed = ControlMessage.safeParse(value);
  if (parsed.success) return parsed.data;
  if (typeof value !== "object" || value === null) return "refused";
  const op: unknown = Reflect.get(value, "op");
  return typeof op === "string" && !OPS.has(op) ? undefined : "refused";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
