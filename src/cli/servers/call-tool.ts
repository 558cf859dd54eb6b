/** `berth call TOOL key=value…`: calls a tool and prints what it yields, as it comes. */
import { z } from "zod";
import type { Env } from "../../config/environment.ts";
import { Fault, type FaultCode, invalidInput } from "../../domain/fault.ts";
import { nearest } from "../../util/nearest.ts";
import type { Client } from "../client.ts";
import { invokeTool } from "../requests.ts";
import { openServer, type ServerOptions, tenantOf } from "./find-server.ts";
import { listAll } from "./pages.ts";

export interface ToolCall extends ServerOptions {
  /** A tool's name, or `author/plugin/tool` where several plugins have one of that name. */
  readonly tool: string;
  /** `key=value`. */
  readonly parameters: readonly string[];
  readonly user: string;
  /** A JSON object. */
  readonly credentials: string;
  /** Print every event as a line of JSON. */
  readonly json: boolean;
}

const Parameter = z.object({ name: z.string(), type: z.string().catch("string") });
const Tool = z.object({
  identity: z.object({ name: z.string() }),
  parameters: z.array(Parameter).nullish(),
});
const Provider = z.object({
  name: z.string(),
  plugin_id: z.string(),
  declaration: z.object({ tools: z.array(Tool).catch([]) }).catch({ tools: [] }),
});
const TextItem = z.object({ type: z.literal("text"), message: z.object({ text: z.string() }) });
const Failure = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

interface FoundTool {
  readonly pluginId: string;
  readonly provider: string;
  readonly tool: z.infer<typeof Tool>;
}

/** Throws the error with which the call ended, and `tool_not_found` with the names that there are. */
export async function callTool(env: Env, call: ToolCall): Promise<void> {
  const client = await openServer(env, call);
  const tenant = tenantOf(client.server);
  const { pluginId, provider, tool } = await findTool(client, tenant, call.tool);
  const invocation = {
    user_id: call.user,
    provider,
    tool_name: tool.identity.name,
    credentials: parseObject("--credentials", call.credentials),
    tool_parameters: parseParameters(call.parameters, tool.parameters ?? []),
  };
  for await (const event of invokeTool(client, { tenant, pluginId }, invocation)) {
    if (call.json) process.stdout.write(`${JSON.stringify(event)}\n`);
    if (event.name === "error") {
      const { code, message } = Failure.parse(event.data).error;
      throw new Fault(code as FaultCode, message);
    }
    if (call.json) continue;
    const text = TextItem.safeParse(event.data).data?.message.text;
    if (event.name === "item") process.stdout.write(text ?? `${JSON.stringify(event.data)}\n`);
    if (event.name === "end") process.stdout.write("\n");
  }
}

async function findTool(client: Client, tenant: string, wanted: string): Promise<FoundTool> {
  const all: FoundTool[] = [];
  for await (const provider of listAll(client, `/v1/tenants/${tenant}/providers?kind=tool`, Provider))
    for (const tool of provider.declaration.tools)
      all.push({ pluginId: provider.plugin_id, provider: provider.name, tool });
  const fullName = ({ pluginId, tool }: FoundTool) => `${pluginId}/${tool.identity.name}`;
  const found = all.filter((it) => it.tool.identity.name === wanted || fullName(it) === wanted);
  const [only, ...more] = found;
  if (only === undefined) {
    const names = all.map(({ tool }) => tool.identity.name);
    const near = nearest(wanted, names, { max: 3, distanceMax: Math.ceil(wanted.length / 3) });
    const accepted = (near.length > 0 ? near : names).join(", ");
    throw new Fault("tool_not_found", `The tenant has no tool ${wanted}; it has ${accepted || "none"}.`);
  }
  if (more.length > 0) throw invalidInput("TOOL", wanted, found.map(fullName).join(", "));
  return only;
}

/** Text stays text; values of other declared types are read as JSON. */
export function parseParameters(
  given: readonly string[],
  declared: readonly z.infer<typeof Parameter>[],
): Record<string, unknown> {
  const types = new Map(declared.map(({ name, type }) => [name, type]));
  return Object.fromEntries(
    given.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw invalidInput("parameter", pair, "key=value");
      const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
      if (!IN_JSON.has(types.get(name) ?? "string")) return [name, value];
      return [name, parseJson(name, value, `JSON of the type ${types.get(name)}`)];
    }),
  );
}

const IN_JSON = new Set(["number", "boolean", "checkbox", "object", "array", "file", "files", "any"]);

function parseJson(field: string, text: string, accepted: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidInput(field, text, accepted);
  }
}

function parseObject(field: string, text: string): object {
  const value = parseJson(field, text, "a JSON object");
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalidInput(field, text, "a JSON object");
  return value;
}
