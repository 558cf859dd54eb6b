import { z } from "zod";
import { parseObject } from "../codec.ts";

/** The first line of each connection. */
const Hello = z.discriminatedUnion("hello", [
  z.object({ hello: z.literal("data") }),
  z.object({ hello: z.literal("control"), ready: z.boolean() }),
]);
export type Hello = z.infer<typeof Hello>;

/** What the runner says on the control connection after its hello. */
const ControlMessage = z.discriminatedUnion("op", [
  z.object({ op: z.literal("ready") }),
  z.object({
    op: z.literal("pong"),
    id: z.number(),
    alive: z.boolean(),
    heartbeat_age_ms: z.number().nullable(),
    resident_bytes: z.number(),
    oom_kills: z.number(),
    open_sessions: z.number(),
  }),
  z.object({
    op: z.literal("exit"),
    exit_code: z.number().nullable(),
    signal: z.string().nullable(),
    oom: z.boolean(),
  }),
  z.object({ op: z.literal("frame_too_large"), session_id: z.string(), bytes: z.number() }),
  z.object({
    op: z.literal("dropped"),
    session_ids: z.array(z.string()),
    lines: z.number(),
    bytes: z.number(),
  }),
  z.object({ op: z.literal("notice"), kind: z.string(), bytes: z.number().optional() }),
]);
export type ControlMessage = z.infer<typeof ControlMessage>;

export function parseHello(text: string): Hello | undefined {
  return Hello.safeParse(parseObject(text)).data;
}

/** Undefined for what this release does not know: a newer runner may say more. */
export function parseControlMessage(text: string): ControlMessage | undefined {
  return ControlMessage.safeParse(parseObject(text)).data;
}
