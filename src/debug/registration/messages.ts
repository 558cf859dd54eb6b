/** The lines with which a plugin registers itself, as the SDK writes them. */
import { z } from "zod";
import { Fault } from "../../domain/fault.ts";
import type { ProviderKind } from "../../domain/package.ts";

const Message = z.object({ type: z.string().max(64), data: z.unknown() });
const Handshake = z.object({
  type: z.literal("handshake"),
  data: z.object({ key: z.string().min(1).max(1024) }),
});
const Chunk = z.object({ filename: z.string().min(1).max(1024), data: z.string(), end: z.boolean() });
const JsonMap = z.record(z.string(), z.unknown());

export type JsonMap = z.infer<typeof JsonMap>;

export type RegistrationMessage =
  | { readonly type: "manifest"; readonly manifest: JsonMap }
  | { readonly type: "providers"; readonly kind: ProviderKind; readonly providers: readonly JsonMap[] }
  | { readonly type: "asset"; readonly name: string; readonly content: Buffer; readonly isLast: boolean }
  | { readonly type: "end" };

const KINDS: Readonly<Record<string, ProviderKind>> = {
  tool_declaration: "tool",
  model_declaration: "model",
  endpoint_declaration: "endpoint",
  agent_strategy_declaration: "agent_strategy",
  datasource_declaration: "datasource",
  trigger_declaration: "trigger",
};
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** The key in the first line. Throws `invalid_input`, which says what the line was. */
export function parseHandshake(line: Buffer): string {
  const read = Handshake.safeParse(parseJson(line));
  if (read.success) return read.data.data.key;
  const text = line.subarray(0, 40).toString("latin1");
  const found = /^[A-Z]{3,8} \S+ HTTP\//.test(line.subarray(0, 200).toString("latin1"))
    ? "an HTTP request: this is the port for plugins that are debugged, not that of the API"
    : `${JSON.stringify(text)}`;
  throw refuse("the first line", found, '{"type":"handshake","data":{"key":"..."}}');
}

/** Throws `invalid_input`, which names the message and what is wrong with it. */
export function parseRegistration(line: Buffer): RegistrationMessage {
  const message = Message.safeParse(parseJson(line));
  if (!message.success)
    throw refuse("a line", JSON.stringify(line.subarray(0, 40).toString("latin1")), "a registration message");
  const { type, data } = message.data;
  const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (kind !== undefined) {
    const providers = z.array(JsonMap).min(1).safeParse(data);
    if (!providers.success) throw refuse(type, "no list of providers", "a list of providers, each an object");
    return { type: "providers", kind, providers: providers.data };
  }
  switch (type) {
    case "manifest_declaration": {
      const manifest = JsonMap.safeParse(data);
      if (!manifest.success) throw refuse(type, "no object", "the manifest as an object");
      return { type: "manifest", manifest: manifest.data };
    }
    case "asset_chunk": {
      const chunk = Chunk.safeParse(data);
      if (!chunk.success || !BASE64.test(chunk.data.data))
        throw refuse(type, "not as expected", "filename, data in base64, end");
      const { filename: name, data: content, end: isLast } = chunk.data;
      return { type: "asset", name, content: Buffer.from(content, "base64"), isLast };
    }
    case "end":
      return { type: "end" };
    default:
      throw refuse(
        "type",
        JSON.stringify(type),
        `manifest_declaration, ${Object.keys(KINDS).join(", ")}, asset_chunk, end: this SDK may be newer than this Berth`,
      );
  }
}

function refuse(field: string, value: string, accepted: string): Fault {
  return new Fault("invalid_input", `${field} is ${value}; accepted: ${accepted}`, {
    details: { field, value, accepted },
  });
}

function parseJson(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString("utf8"));
  } catch {
    return undefined;
  }
}
