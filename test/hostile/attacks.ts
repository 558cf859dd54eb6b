/**
 * Every attack of the suite: what the attacker does, how its calls must end, and what is true of it afterwards. Each
 * attacker serves again without anybody's help, unless its row says otherwise.
 */
import { deepStrictEqual, ok, partialDeepStrictEqual } from "node:assert";
import type { ServerEvent } from "../../src/cli/event-stream.ts";
import { change } from "../harness/clients/changes.ts";
import {
  askTool,
  callTool,
  type ErrorJson,
  errorOf,
  eventually,
  streamTool,
  type ToolCall,
  toolRequest,
  toolTexts,
  uninstall,
} from "../harness/clients/client.ts";
import type { BerthDoor } from "../harness/rigs/berth.ts";
import { type Attack, processesIn } from "../harness/rigs/hostile.ts";
import { length } from "../harness/samples/lengths.ts";
import { BAD_CALLERS } from "./bad-callers.ts";

/** One call, and the texts of an answer that ends well, or what must stand in its JSON objects. */
function answers(
  name: string,
  attack: string,
  parameters: Readonly<Record<string, unknown>>,
  expected: readonly unknown[],
): Attack {
  return {
    name,
    async run(attacker, { berth }) {
      const events = await callTool(berth, attacker.call(attack, parameters));
      const said = contents(events);
      partialDeepStrictEqual(said, expected);
      deepStrictEqual(said.length, expected.length);
      expectOneEnd(events, "end");
    },
  };
}

/** One call that ends with that error. */
function fails(
  name: string,
  attack: string,
  parameters: Readonly<Record<string, unknown>>,
  error: object,
  limits?: Readonly<Record<string, number>>,
): Attack {
  return {
    name,
    ...(limits === undefined ? {} : { limits }),
    async run(attacker, { berth }) {
      const events = await callTool(berth, attacker.call(attack, parameters));
      expectOneEnd(events, "error");
      partialDeepStrictEqual(errorOf(events), error);
    },
  };
}

function contents(events: readonly ServerEvent[]): readonly unknown[] {
  return events
    .filter(({ name }) => name === "item")
    .map(({ data }) => {
      const { message } = data as { message: { text?: unknown; json_object?: unknown } };
      return message.text ?? message.json_object;
    });
}

/** Whatever a plugin says, its caller gets exactly one terminal event, and nothing behind it. */
function expectOneEnd(events: readonly ServerEvent[], name: "end" | "error"): void {
  const terminal = events.filter((event) => event.name === "end" || event.name === "error");
  deepStrictEqual(
    terminal.map((event) => event.name),
    [name],
  );
  deepStrictEqual(events.at(-1), terminal[0]);
}

const TIMEOUT = { timeout_ms: 5000 };
const CRASHED_FOR_MEMORY = { code: "plugin_crashed", details: { oom: true } };
const megabytes = length({ short: 32, soak: 1024 });

const RESOURCES: readonly Attack[] = [
  fails("a leak", "leak", { megabytes_per_second: length({ short: 200, soak: 50 }) }, CRASHED_FOR_MEMORY),
  answers("a fork bomb", "fork_bomb", { seconds: length({ short: 3, soak: 30 }) }, ["a fork was refused"]),
  answers("a thread bomb", "thread_bomb", { seconds: length({ short: 1, soak: 30 }) }, [
    "a thread was refused",
  ]),
  fails("a busy loop", "busy_loop", {}, { code: "plugin_timeout" }, TIMEOUT),
  fails("an interpreter that is held for ever", "hang", {}, { code: "plugin_timeout" }, TIMEOUT),
  answers("all open files", "open_files", {}, ["EMFILE"]),
  answers("its scratch disk full of files", "scratch_files", {}, [{ error: "ENOSPC" }]),
  answers("its scratch disk full of bytes", "scratch_bytes", {}, [{ taken: 16 << 20, error: "ENOSPC" }]),
];

const FLOODS: readonly Attack[] = [
  answers("all inotify instances and pipe pages", "kernel_budgets", {}, [{}]),
  answers("a flood of stderr", "stderr_flood", { megabytes }, ["done"]),
  answers("a flood of junk on stdout", "junk_flood", { megabytes }, ["done"]),
];

const PROCESSES: readonly Attack[] = [
  fails("a plugin that stops itself", "stop_self", {}, { code: "plugin_unhealthy" }),
  // Sooner than its health can be judged.
  fails(
    "a plugin that stops its runner",
    "stop_parent",
    {},
    { code: "plugin_timeout" },
    { timeout_ms: 2000 },
  ),
  endsWithItsContainer("SIGTERM ignored", "ignore_term", {}, "deaf"),
  endsWithItsContainer("100 detached grandchildren", "grandchildren", { count: 100 }, "100"),
];

/** One call, and a restart: nothing is left of the containers before. */
function endsWithItsContainer(
  name: string,
  attack: string,
  parameters: Readonly<Record<string, unknown>>,
  text: string,
): Attack {
  return {
    name,
    async run(attacker, { site, berth }) {
      const before = (await site.containers())
        .filter(({ labels }) => labels["berth.tenant"] === attacker.tenant)
        .map(({ id }) => id);
      ok(before.length > 0);
      deepStrictEqual(await toolTexts(berth, attacker.call(attack, parameters)), [text]);
      await change(berth, attacker, "restart");
      await eventually(async () => ((await processesIn(before)).length === 0 ? true : undefined));
    },
  };
}

const FRAMES: readonly Attack[] = [
  {
    name: "tiny frames",
    onlyAlone: true,
    async run(attacker, { berth }) {
      const count = length({ short: 20_000, soak: 10_000_000 });
      const [items, last] = await countItems(berth, attacker.call("tiny_frames", { count }));
      deepStrictEqual([items, last], [count, "end"]);
    },
  },
  answers("a frame of 1 MB", "large", { megabytes: 1 }, ["x".repeat(1 << 20)]),
  {
    name: "a wide frame of 15 MB",
    onlyAlone: true,
    async run(attacker, { berth }) {
      const [items, last] = await countItems(berth, attacker.call("wide", { megabytes: 15 }));
      deepStrictEqual([items, last], [1, "end"]);
    },
  },
  fails("a frame of 17 MB", "large", { megabytes: 17 }, { code: "frame_too_large" }),
  fails("a frame of 64 MB", "large", { megabytes: 64 }, { code: "frame_too_large" }),
];

const LINES: readonly Attack[] = [
  answers("tiny lines", "tiny_lines", { count: length({ short: 1 << 17, soak: 10 << 20 }) }, ["done"]),
  answers("the announcement of a large frame that never comes", "announced", {}, ["done"]),
  answers("replies after the end", "after_the_end", {}, ["before"]),
  answers("writes to the folder of the host", "write_folder", {}, [{ done: [], tried: 8 }]),
  answers("a third connection to the host", "third_connection", {}, [{ admitted: [] }]),
];

/** Items of an answer without reading them, and the name of its last event. */
async function countItems(berth: BerthDoor, call: ToolCall): Promise<readonly [number, string | undefined]> {
  const { path, body } = toolRequest(call);
  const answer = await berth.request("POST", path, { body, headers: { accept: "text/event-stream" } });
  const ITEM = "event: item\n";
  let items = 0;
  let rest = "";
  let last: string | undefined;
  for await (const piece of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const text = rest + piece;
    for (let at = text.indexOf(ITEM); at !== -1; at = text.indexOf(ITEM, at + ITEM.length)) items++;
    last = /event: (\w+)\n(?!.*event: )/s.exec(text.slice(-2000))?.[1] ?? last;
    rest = text.slice(Math.max(text.lastIndexOf(ITEM) + ITEM.length, text.length - ITEM.length + 1));
  }
  return [items, last];
}

const HOST_CALLS = length({ short: 10_000, soak: 100_000 });

const SESSIONS: readonly Attack[] = [
  fails("half a line, then silence", "half_line", {}, { code: "plugin_timeout" }, TIMEOUT),
  {
    name: "forged session ids",
    async run(attacker, hostile) {
      const neighbour = await hostile.attacker();
      try {
        const open = streamTool(hostile.berth, neighbour.call("tell_session", { seconds: 240 }));
        const told = await open.next();
        const [theirs] = contents([told.value as ServerEvent]);
        const sessions = [theirs, "", "none", "__proto__", "constructor", "x".repeat(1 << 16)];
        deepStrictEqual(await toolTexts(hostile.berth, attacker.call("forged", { sessions })), ["done"]);
        deepStrictEqual(await toolTexts(hostile.berth, neighbour.call("go_on")), ["told"]);
        const rest = await Array.fromAsync(open);
        deepStrictEqual(contents(rest), ["own"]);
        expectOneEnd(rest, "end");
      } finally {
        await uninstall(hostile.berth, neighbour);
      }
    },
  },
  {
    name: "1,000 stuck sessions",
    onlyAlone: true,
    limits: { timeout_ms: 10_000 },
    async run(attacker, { berth }) {
      const calls = Array.from({ length: 1000 }, () => askTool(berth, attacker.call("stuck")));
      const codes = await Promise.all(
        calls.map(async (call) => ((await (await call).json()) as { error?: ErrorJson }).error?.code),
      );
      // Those of an attack before may still have their places.
      ok(codes.includes("plugin_timeout"));
      const others = codes.filter((code) => code !== "plugin_timeout" && code !== "busy");
      deepStrictEqual(others, []);
    },
  },
  {
    ...answers("calls of its host without end", "host_calls", { count: HOST_CALLS }, ["done"]),
    onlyAlone: true,
  },
];

/** What leaves the attacker as it was is made by one attacker. */
function together(group: string, attacks: readonly Attack[]): readonly Attack[] {
  return attacks.map((attack) => ({ ...attack, group }));
}

export const ATTACKS: readonly Attack[] = [
  ...RESOURCES,
  ...together("floods", FLOODS),
  ...PROCESSES,
  ...together("frames", FRAMES),
  ...together("lines", LINES),
  ...SESSIONS,
  ...together("callers", BAD_CALLERS),
];
