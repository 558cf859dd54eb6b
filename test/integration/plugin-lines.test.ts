/**
 * Whatever lines a plugin writes: each of its callers hears exactly one end, another plugin under load loses nothing, and
 * nothing that was held for it stays. They go through the real transport to the sinks of both doors, hooks, host calls
 * and storage.
 */
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { CALLERS, callAs } from "../harness/clients/four-callers.ts";
import { type RawPlugin, rawTransport, startRawPlugin } from "../harness/clients/raw-plugin.ts";
import { type HookDoor, openHookDoor } from "../harness/rigs/hook.ts";
import { type AnyLine, anyLines, SESSION } from "../harness/samples/any-lines.ts";
import { length } from "../harness/samples/lengths.ts";

const KB = 1024;
const NOBODY = "0b51e4a3-6f5f-4c9e-a2f3-0c6f4f6f1b1a";
const SIBLING_ITEMS = 6;
const END = '{"type":"end","data":{}}';

interface Rig {
  readonly door: HookDoor;
  readonly plugin: RawPlugin;
  readonly sibling: RawPlugin;
  readonly largeFrameBytes: () => number;
  /** Resolves with the ids of the next so many sessions. */
  asked(count: number): Promise<string[]>;
}

async function aRig(): Promise<Rig> {
  const transport = rawTransport();
  onTestFinished(() => transport[Symbol.asyncDispose]() as Promise<void>);
  let ids: string[] = [];
  let missing = 0;
  let all = Promise.withResolvers<string[]>();
  const plugin = await startRawPlugin({
    transport,
    onRequest: ({ event, sessionId }, self) => {
      if (event !== "request") return;
      // what it asked of itself, by way of the host
      if (missing === 0) self.frame(sessionId, END);
      else if (ids.push(sessionId) === missing) {
        missing = 0;
        all.resolve(ids);
      }
    },
  });
  onTestFinished(() => plugin[Symbol.asyncDispose]());
  const sibling = await startRawPlugin({ transport, id: "siblingabc", onRequest: () => undefined });
  onTestFinished(() => sibling[Symbol.asyncDispose]());
  // a busy machine may take long to hand over what is large
  const door = await openHookDoor({ runtimes: plugin.runtimes, settings: { flushTimeoutMs: 60_000 } });
  return {
    door,
    plugin,
    sibling,
    largeFrameBytes: () => transport.largeFrameBytes,
    asked(count) {
      ids = [];
      missing = count;
      all = Promise.withResolvers();
      return all.promise;
    },
  };
}

function write(plugin: RawPlugin, { about, announcedFor, ...line }: AnyLine, ids: readonly string[]): void {
  const id = ids[about] ?? NOBODY;
  const text = line.text.replaceAll(SESSION, id);
  const bytes = Buffer.from(
    line.isLarge ? `${text.slice(0, 1)}${" ".repeat(300 * KB)}${text.slice(1)}` : text,
  );
  if (line.brokenAt !== undefined && line.brokenAt < bytes.length) bytes[line.brokenAt] = 0xff;
  plugin.line(ids[announcedFor] ?? id, bytes);
}

/** Items of all sizes, each with its number. */
async function callSibling(sibling: RawPlugin): Promise<number[]> {
  const { promise, resolve, reject } = Promise.withResolvers<number[]>();
  const seen: number[] = [];
  sibling.link.openSession("sibling", '{"session_id":"sibling","event":"request","data":{}}', {
    onFrame: (frame) => {
      if (frame.type === "stream") seen.push((JSON.parse(frame.data.text) as { n: number }).n);
      if (frame.type === "end") resolve(seen);
    },
    onLost: reject,
  });
  for (let n = 0; n < SIBLING_ITEMS; n++) {
    const text = "x".repeat(n % 2 === 0 ? 10 : 400 * KB);
    sibling.frame("sibling", `{"type":"stream","data":{"n":${n},"text":"${text}"}}`);
  }
  sibling.frame("sibling", END);
  return await promise;
}

test("each caller gets exactly one end, the sibling plugin loses nothing, and no session or frame is left", async () => {
  const { door, plugin, sibling, largeFrameBytes, asked } = await aRig();
  const property = fc.asyncProperty(anyLines, async (lines) => {
    const asking = asked(CALLERS.length);
    const calls = CALLERS.map((kind) => callAs(kind, door));
    const ids = await asking;
    const heard = callSibling(sibling);
    for (const line of lines) write(plugin, line, ids);
    for (const id of ids) plugin.frame(id, END);
    expect((await Promise.all(calls)).map(({ ends }) => ends)).toEqual(calls.map(() => 1));
    expect(await heard).toEqual(Array.from({ length: SIBLING_ITEMS }, (_, n) => n));
    await expect
      .poll(() => [plugin.link.openSessions, door.invoker.openSessions, largeFrameBytes()])
      .toEqual([0, 0, 0]);
    expect(plugin.link.up).toBe(true);
  });
  await fc.assert(property, { numRuns: length({ short: 15, soak: 3000 }), endOnFailure: true });
});
