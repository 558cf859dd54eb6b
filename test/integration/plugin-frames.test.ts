/** What a plugin says, whatever it is, through the real transport to everybody who may hear it. */
import { once } from "node:events";
import { request } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { CALLERS, type CallerKind, callAs } from "../harness/clients/four-callers.ts";
import { type RawPlugin, type RawRequest, startRawPlugin } from "../harness/clients/raw-plugin.ts";
import { type HookDoor, hex, openHookDoor } from "../harness/rigs/hook.ts";
import { ADMIN_KEY, TENANT } from "../harness/samples/callers.ts";

const MB = 1024 * 1024;
const GOOD = `{"type":"stream","data":{"type":"text","status":200,"result":"${hex("fine")}","message":{"text":"fine"}}}`;
const END = '{"type":"end","data":{}}';

interface Rig {
  readonly door: HookDoor;
  readonly plugin: RawPlugin;
  /** What the plugin does with the next request. */
  answer(act: (request: RawRequest, plugin: RawPlugin) => void): void;
}

async function aRig(): Promise<Rig> {
  let act: (request: RawRequest, plugin: RawPlugin) => void = () => undefined;
  const plugin = await startRawPlugin({ onRequest: (request, self) => act(request, self) });
  onTestFinished(() => plugin[Symbol.asyncDispose]());
  // a busy machine may take long to hand over what is large
  const door = await openHookDoor({ runtimes: plugin.runtimes, settings: { flushTimeoutMs: 60_000 } });
  return {
    door,
    plugin,
    answer: (next) => {
      act = next;
    },
  };
}

function answerWell({ sessionId }: RawRequest, plugin: RawPlugin): void {
  plugin.frame(sessionId, GOOD);
  plugin.frame(sessionId, END);
}

const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
const padding = `"padding":"${"x".repeat(MB)}"`;
/** As it is, and as a frame that goes the way of large ones. */
const inBothSizes = (name: string, inner: string): [string, string][] => [
  [name, inner],
  [`${name}, over 1 MB`, `{${padding},${inner.slice(1)}`],
];

const BROKEN = [
  ...inBothSizes("an item without data", '{"type":"stream"}'),
  ...inBothSizes("8,000 nested lists as data", `{"type":"stream","data":${deep(8000)}}`),
  ["600,000 nested lists as data", `{"type":"stream","data":${deep(600_000)}}`],
  ...inBothSizes("8,000 nested lists in a message", `{"type":"stream","data":{"message":${deep(8000)}}}`),
  ...inBothSizes(
    "an error whose message is not text",
    '{"type":"error","data":{"message":{"toString":1,"valueOf":1}}}',
  ),
  ...inBothSizes(
    "an error whose type is not text",
    '{"type":"error","data":{"error_type":{"toString":1},"message":"m"}}',
  ),
  ...inBothSizes(
    "an error whose arguments are deep",
    `{"type":"error","data":{"message":"m","args":{"a":${deep(8000)}}}}`,
  ),
  ...inBothSizes(
    "a call to the host whose type is not text",
    '{"type":"invoke","data":{"backwards_request_id":"1","type":{"toString":1,"valueOf":1},"request":{}}}',
  ),
  ...inBothSizes("a type that is half a surrogate pair", '{"type":"\\ud83d","data":{}}'),
] as const;

test.each(CALLERS)("a broken message ends only its own call, as a protocol error: %s", async (kind) => {
  const { door, plugin, answer } = await aRig();
  for (const [name, inner] of BROKEN) {
    answer(({ sessionId }) => {
      plugin.frame(sessionId, inner);
      plugin.frame(sessionId, END);
    });
    const { text, ends } = await callAs(kind, door);
    expect({ name, ends }).toEqual({ name, ends: 1 });
    expect({ name, text }).toEqual({ name, text: expect.stringContaining("broke the protocol") });
  }
  answer(answerWell);
  expect((await callAs(kind, door)).text).toContain("fine");
  expect([plugin.link.openSessions, door.invoker.openSessions]).toEqual([0, 0]);
  expect(plugin.notices).toHaveLength(BROKEN.length);
});

test("a half line, bytes that are not UTF-8 and another session's id affect no other call", async () => {
  const { door, plugin, answer } = await aRig();
  let first: string | undefined;
  const waiting = Promise.withResolvers<void>();
  answer(({ sessionId }) => {
    first = sessionId;
    plugin.frame(sessionId, GOOD);
    waiting.resolve();
  });
  const long = callAs("v1 events", door);
  await waiting.promise;
  answer(({ sessionId }) => {
    plugin.bytes(`{"event":"session","session_id":"${sessionId}","data":{"type":"str\n`);
  });
  expect((await callAs("v1 document", door)).text).toContain("what is not JSON at character");
  answer(({ sessionId }) => {
    plugin.bytes(
      Buffer.from([...Buffer.from(`{"event":"session","session_id":"${sessionId}","x":"`), 0xff, 0x0a]),
    );
  });
  expect((await callAs("v1 document", door)).text).toContain("bytes that are not UTF-8");
  answer((request) => {
    plugin.frame("0b51e4a3-6f5f-4c9e-a2f3-0c6f4f6f1b1a", GOOD);
    answerWell(request, plugin);
    answerWell(request, plugin);
  });
  expect((await callAs("v1 document", door)).text).toContain("fine");
  plugin.frame(first ?? "", END);
  expect((await long).text).toMatch(/event: end\ndata: \{"items":1\}/);
});

describe("an item of a plugin arrives unchanged as", () => {
  const NUMBERS =
    '{"id": 653247040368672769,"huge":1000000000000000000000000000000,"one":1.0,"neg":-9223372036854775808,"exp":1e300,"sur":"a\\ud83d","nul":"\\u0000"}';

  test.each([
    ["v1 events", `event: item\ndata: ${NUMBERS}\n\n`],
    ["v1 document", `{"items":[${NUMBERS}]`],
  ] as const)("%s", async (kind: CallerKind, expected) => {
    const { door, plugin, answer } = await aRig();
    for (const more of ["", padding]) {
      answer(({ sessionId }) => {
        plugin.frame(sessionId, `{"type":"stream",${more}${more && ","}"data":${NUMBERS}}`);
        plugin.frame(sessionId, END);
      });
      expect((await callAs(kind, door)).text).toContain(expected);
    }
  });
});

test.each(["v1 events", "v1 document"] as const)(
  "small and large items arrive whole and in the order in which they were sent: %s",
  async (kind) => {
    const { door, plugin, answer } = await aRig();
    const items = ['"one"', `"${"é\u{1f6a2}".repeat(MB / 4)}"`, '"three"', '"four"', `"${"y".repeat(MB)}"`];
    answer(({ sessionId }) => {
      for (const data of items) plugin.frame(sessionId, `{"type":"stream","data":${data}}`);
      plugin.frame(sessionId, END);
    });
    const { text } = await callAs(kind, door);
    const events = items.map((data) => `event: item\ndata: ${data}\n\n`).join("");
    const start =
      kind === "v1 document"
        ? `{"items":[${items.join(",")}],`
        : `${events}event: end\ndata: {"items":5}\n\n`;
    expect(text.slice(0, start.length) === start).toBe(true);
  },
);

test("very long lists pass through as text, and are refused where they would have to be parsed", async () => {
  const { door, plugin, answer } = await aRig();
  const say = (wide: string) =>
    answer(({ sessionId }) => {
      plugin.frame(sessionId, `{"type":"stream","data":${wide}}`);
      plugin.frame(sessionId, END);
    });
  const largest = `[${"[],".repeat(5 * MB - 100)}[]]`;
  say(largest);
  const { text } = await callAs("v1 events", door);
  expect(text === `event: item\ndata: ${largest}\n\nevent: end\ndata: {"items":1}\n\n`).toBe(true);
  say(`[${"[],".repeat(300_000)}[]]`);
  for (const kind of ["dify", "hook"] as const)
    expect((await callAs(kind, door)).text).toMatch(/lists, objects and members; accepted: at most 200000/);
});

test("a client that reads nothing delays no other client and loses only its own call", async () => {
  const { door, plugin, answer } = await aRig();
  const item = `{"type":"stream","data":"${"x".repeat(100_000)}"}`;
  const flood = async (sessionId: string) => {
    for (let n = 0; n < 300; n++) {
      plugin.frame(sessionId, item);
      await nextTurn();
    }
    plugin.frame(sessionId, END);
  };
  let flooding: Promise<void> | undefined;
  answer((asked) => {
    if (asked.data["user_id"] === "slow") flooding = flood(asked.sessionId);
    else answerWell(asked, plugin);
  });
  const slow = request(`http://127.0.0.1:${door.port}/v1/tenants/${TENANT}/plugins/berth/echo/invoke_tool`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_KEY}`, "content-type": "application/json" },
  });
  onTestFinished(() => void slow.destroy());
  slow.on("error", () => undefined);
  slow.end('{"user_id":"slow","provider":"echo","tool_name":"say","tool_parameters":{}}');
  // its body is never read
  await once(slow, "response");
  for (const kind of CALLERS) expect((await callAs(kind, door)).text).toContain("fine");
  await flooding;
  await expect.poll(() => door.logged.map(({ code }) => code)).toContain("slow_caller");
  for (const kind of CALLERS) expect((await callAs(kind, door)).text).toContain("fine");
  await expect.poll(() => [plugin.link.openSessions, door.invoker.openSessions]).toEqual([0, 0]);
});
