import { expect, test } from "vitest";
import { Fault } from "../../domain/fault.ts";
import { HostCallAnswer } from "./answer.ts";

/** A plugin that reads nothing until it is let. */
function aSlowPlugin() {
  const read: unknown[] = [];
  const waiting: (() => void)[] = [];
  const send = (line: string) =>
    new Promise<void>((resolve) =>
      waiting.push(() => {
        read.push((JSON.parse(line) as { data: object }).data);
        resolve();
      }),
    );
  const answer = new HostCallAnswer({ id: "1", type: "llm" }, { sessionId: "s", send }, "stream");
  const letRead = async () => {
    waiting.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { read, waiting, answer, letRead };
}

test("lines wait in order for a plugin that does not read, one at a time, and are counted", async () => {
  const { read, waiting, answer, letRead } = aSlowPlugin();
  answer.item('{"n":1}')?.catch(() => undefined);
  const before = answer.bufferedBytes;
  answer.item('{"n":2}')?.catch(() => undefined);
  const end = answer.end();
  expect(answer.bufferedBytes).toBeGreaterThan(2 * before);
  for (let lines = 1; lines <= 3; lines++) {
    expect(waiting).toHaveLength(1);
    await letRead();
  }
  await end;
  expect(answer).toMatchObject({ bufferedBytes: 0, items: 2 });
  expect(read).toMatchObject([
    { event: "response", message: "stream", data: { n: 1 } },
    { event: "response", message: "stream", data: { n: 2 } },
    { event: "end", message: "", data: null },
  ]);
});

test("an error reaches the plugin behind an item that could not be sent", async () => {
  const lines: string[] = [];
  const send = (line: string) => {
    if (line.includes("large")) return Promise.reject(new Fault("frame_too_large", "too large"));
    lines.push((JSON.parse(line) as { data: { event: string } }).data.event);
    return undefined;
  };
  const answer = new HostCallAnswer({ id: "1", type: "llm" }, { sessionId: "s", send }, "stream");
  const item = answer.item('"large"');
  const failed = answer.fail(new Fault("platform_refused", "no"));
  await expect(item).rejects.toMatchObject({ code: "frame_too_large" });
  await failed;
  expect(lines).toEqual(["error", "end"]);
});
