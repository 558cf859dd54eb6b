/**
 * `berth up`: a demonstration. It does what a user of the HTTP API does, over HTTP: packs a folder, uploads it,
 * installs it, calls it, and prints the answer as it streams in.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type Berth, startBerth } from "../app.ts";
import type { Config } from "../config.ts";
import { Fault } from "../domain/fault.ts";
import { createLog } from "../observe/log.ts";
import { packFolder } from "../packages/archive/pack.ts";
import { readEvents, type ServerEvent } from "./event-stream.ts";
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

const Uploaded = z.object({ identifier: z.string(), plugin_id: z.string() });
const Accepted = z.object({
  task: z.object({ id: z.string() }),
  installation: z.object({ id: z.string() }),
  created: z.boolean(),
});
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
const TaskEvent = z.object({
  at: z.string(),
  step: z.string().optional(),
  state: z.string().optional(),
  message: z.string().optional(),
  cause: z.object({ code: z.string(), message: z.string() }).optional(),
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
    await demonstrate(berth);
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

async function demonstrate(berth: Berth): Promise<void> {
  const { identifier, plugin_id } = await upload(berth);
  const accepted = Accepted.parse(
    await (await call(berth, "POST", `/v1/tenants/${TENANT}/installations`, { identifier })).json(),
  );
  if (!accepted.created) say("install: already installed; these are the steps of that install");
  await follow(berth, accepted.task.id);
  const path = `/v1/tenants/${TENANT}/installations/${accepted.installation.id}`;
  const { limits_granted: limits } = Installed.parse(await (await call(berth, "GET", path)).json());
  say(
    `limits in force: memory ${mib(limits.memory_bytes)}, /tmp ${mib(limits.storage_bytes)}, ` +
      `${limits.cpu_millis / 1000} CPU, ${limits.pids_max} processes, ` +
      `${limits.concurrency_max} calls at once, ${limits.timeout_ms / 1000} s a call`,
  );
  await invoke(berth, plugin_id);
}

async function upload(berth: Berth): Promise<z.infer<typeof Uploaded>> {
  const folder = await mkdtemp(join(tmpdir(), "berth-up-"));
  try {
    const packed = await packFolder({ folder: EXAMPLE, output: join(folder, "example.difypkg") });
    const response = await call(berth, "POST", "/v1/packages", await readFile(packed.output));
    const uploaded = Uploaded.parse(await response.json());
    say(`uploaded ${uploaded.identifier}${response.status === 200 ? " (already stored)" : ""}`);
    return uploaded;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Prints each step of the task with its time since the start; throws where it does not end `ready`. */
async function follow(berth: Berth, taskId: string): Promise<void> {
  const response = await call(berth, "GET", `/v1/tenants/${TENANT}/tasks/${taskId}/events`);
  let began: number | undefined;
  for await (const { name, data } of readEvents(response)) {
    const event = TaskEvent.parse(data);
    began ??= Date.parse(event.at);
    const seconds = ((Date.parse(event.at) - began) / 1000).toFixed(2);
    if (name === "step") say(`install: ${event.step} at ${seconds} s`);
    if (name === "warning" || name === "progress") say(`install:   ${event.message}`);
    if (name === "end") {
      if (event.state === "ready") return;
      // The failure is that of the install: a stack trace of this file helps nobody.
      throw new Fault(
        "internal",
        `the install ended as ${event.state}: ${event.cause?.code}: ${event.cause?.message}`,
      );
    }
  }
  throw new Error("the stream of the task's events ended early");
}

async function invoke(berth: Berth, pluginId: string): Promise<void> {
  const path = `/v1/tenants/${TENANT}/plugins/${pluginId}/invoke_tool`;
  say(`POST ${path}`);
  const began = performance.now();
  const response = await call(berth, "POST", path, INVOCATION);
  for await (const event of readEvents(response)) {
    process.stdout.write(`  ${(performance.now() - began).toFixed(0).padStart(5)} ms  ${show(event)}\n`);
    if (event.name === "error") throw new Error("the call failed");
  }
}

function show({ name, data }: ServerEvent): string {
  const item = ToolItem.safeParse(data);
  if (name !== "item" || !item.success) return `${name} ${JSON.stringify(data)}`;
  return `${item.data.type} ${JSON.stringify(item.data.message["text"] ?? item.data.message)}`;
}

async function call(berth: Berth, method: string, path: string, body?: Buffer | object): Promise<Response> {
  const bytes = Buffer.isBuffer(body);
  const response = await fetch(new URL(path, berth.url), {
    method,
    headers: {
      authorization: `Bearer ${berth.adminKey}`,
      ...(body !== undefined && { "content-type": bytes ? "application/octet-stream" : "application/json" }),
    },
    ...(body !== undefined && { body: bytes ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

function say(text: string): void {
  process.stdout.write(`berth: ${text}\n`);
}
