/**
 * `berth up`: a demonstration. It does what a user of the HTTP API does, over HTTP: packs a folder, uploads it,
 * installs it, calls it, and prints the answer as it streams in.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { startBerth } from "../app.ts";
import type { Config } from "../config.ts";
import { Fault } from "../domain/fault.ts";
import { createLog } from "../observe/log.ts";
import { packFolder } from "../packages/archive/pack.ts";
import { type Client, createClient } from "./client.ts";
import type { ServerEvent } from "./event-stream.ts";
import { acceptInstall, followTask, invokeTool, uploadPackage } from "./requests.ts";
import { abortedBy, nextSignal, stopBerth } from "./serve.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/stream-text");
const TENANT = "00000000-0000-4000-8000-000000000001";
const INVOCATION = {
  user_id: "demo",
  provider: "stream-text",
  tool_name: "stream_text",
  credentials: {},
  tool_parameters: { text: "Every plugin has a berth of its own." },
};

const Installed = z.object({
  limits_granted: z.object({
    memory_bytes: z.number(),
    storage_bytes: z.number(),
    cpu_millis: z.number(),
    pids_max: z.number(),
    concurrency_max: z.number(),
    timeout_ms: z.number(),
  }),
});
const ToolItem = z.object({ type: z.string(), message: z.record(z.string(), z.unknown()) });

export async function up({ config, once }: { config: Config; once: boolean }): Promise<void> {
  const signalled = nextSignal();
  // The output is for a person; the log only adds failures.
  const log = createLog({
    level: config.settings.BERTH_LOG_LEVEL === "info" ? "warn" : config.settings.BERTH_LOG_LEVEL,
  });
  say(`starting, data in ${config.dataFolder}`);
  const berth = await startBerth({ config, log, role: "serve", signal: abortedBy(signalled) });
  say(`serving on ${berth.url}`);
  try {
    const key = berth.adminKey;
    await demonstrate(createClient({ url: berth.url, key, timeoutMs: 30_000, advice: "see its log" }));
    if (!once) {
      say(
        `serving on ${berth.url}; the operator's key is ${berth.adminKeyFile ?? "the one in BERTH_ADMIN_KEY"}; Ctrl-C stops`,
      );
      await signalled;
    }
  } finally {
    await stopBerth(berth, log, { removeContainers: once });
  }
  say("stopped");
}

async function demonstrate(client: Client): Promise<void> {
  const { identifier, pluginId } = await uploadExample(client);
  const accepted = await acceptInstall(client, TENANT, identifier);
  if (!accepted.created) say("install: already installed; these are the steps of that install");
  await follow(client, accepted.task.id);
  const path = `/v1/tenants/${TENANT}/installations/${accepted.installation.id}`;
  const { limits_granted: limits } = Installed.parse(await client.ask("GET", path));
  say(
    `limits in force: memory ${mib(limits.memory_bytes)}, /tmp ${mib(limits.storage_bytes)}, ` +
      `${limits.cpu_millis / 1000} CPU, ${limits.pids_max} processes, ` +
      `${limits.concurrency_max} calls at once, ${limits.timeout_ms / 1000} s a call`,
  );
  await invoke(client, pluginId);
}

async function uploadExample(client: Client): Promise<{ identifier: string; pluginId: string }> {
  const folder = await mkdtemp(join(tmpdir(), "berth-up-"));
  try {
    const packed = await packFolder({ folder: EXAMPLE, output: join(folder, "example.difypkg") });
    const uploaded = await uploadPackage(client, packed.output);
    say(`uploaded ${uploaded.identifier}${uploaded.isNew ? "" : " (already stored)"}`);
    return uploaded;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Prints each step of the task with its time since the start; throws where it does not end `ready`. */
async function follow(client: Client, taskId: string): Promise<void> {
  let began: number | undefined;
  for await (const event of followTask(client, TENANT, taskId)) {
    began ??= Date.parse(event.at);
    const seconds = ((Date.parse(event.at) - began) / 1000).toFixed(2);
    if (event.name === "step") say(`install: ${event.step} at ${seconds} s`);
    if (event.name === "warning" || event.name === "progress") say(`install:   ${event.message}`);
    // The failure is that of the install: a stack trace of this file helps nobody.
    if (event.name === "end" && event.state !== "ready")
      throw new Fault(
        "internal",
        `the install ended as ${event.state}: ${event.cause?.code}: ${event.cause?.message}`,
      );
  }
}

async function invoke(client: Client, pluginId: string): Promise<void> {
  say(`POST /v1/tenants/${TENANT}/plugins/${pluginId}/invoke_tool`);
  const began = performance.now();
  for await (const event of invokeTool(client, { tenant: TENANT, pluginId }, INVOCATION)) {
    process.stdout.write(`  ${(performance.now() - began).toFixed(0).padStart(5)} ms  ${show(event)}\n`);
    if (event.name === "error") throw new Error("the call failed");
  }
}

function show({ name, data }: ServerEvent): string {
  const item = ToolItem.safeParse(data);
  if (name !== "item" || !item.success) return `${name} ${JSON.stringify(data)}`;
  return `${item.data.type} ${JSON.stringify(item.data.message["text"] ?? item.data.message)}`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

function say(text: string): void {
  process.stdout.write(`berth: ${text}\n`);
}
