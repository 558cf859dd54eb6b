/** A platform's stream through the real link to a plugin, at the plugin's pace. */
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { invokeTool } from "../harness/clients/invocations.ts";
import { startRawPlugin } from "../harness/clients/raw-plugin.ts";
import { until } from "../harness/clients/until.ts";
import { openPlatformDoor } from "../harness/rigs/platform-calls.ts";
import { type FakeInnerApi, innerFrame, useInnerApi } from "../harness/servers/inner-api.ts";

let api: FakeInnerApi;
useInnerApi((started) => {
  api = started;
});

const COUNT = 100;
const PADDING = "x".repeat(512 * 1024);
/** So many looks in a row that show the same. */
const STILL = 200;

/** Resolves when the number has not changed for a while. */
async function settled(read: () => number): Promise<number> {
  let last = -1;
  let looks = 0;
  await until(() => {
    looks = read() === last ? looks + 1 : 0;
    last = read();
    return last > 0 && looks >= STILL;
  });
  return last;
}

test("a plugin that does not read holds the platform's stream back, and loses nothing of it", async () => {
  const received: unknown[] = [];
  const call = { type: "llm", backwards_request_id: "1", request: {} };
  const plugin = await startRawPlugin({
    onRequest: ({ sessionId, event, data }, self) => {
      if (event === "request") {
        self.frame(sessionId, JSON.stringify({ type: "invoke", data: call }));
        self.hold(true);
        return;
      }
      received.push(data["event"] === "end" ? "end" : Reflect.get(Object(data["data"]), "n"));
      if (data["event"] === "end") self.frame(sessionId, '{"type":"end","data":{}}');
    },
  });
  onTestFinished(() => plugin[Symbol.asyncDispose]());
  const { door } = await openPlatformDoor(api.url, {
    runtimes: plugin.runtimes,
    inner: { itemBytesMax: 1024 * 1024 },
  });
  let sent = 0;
  api.answer = async (response) => {
    for (; sent < COUNT; sent++) {
      const data = { n: sent, padding: PADDING };
      if (!response.write(innerFrame({ data, error: "" }))) await once(response, "drain");
    }
    response.end();
  };
  const asked = invokeTool(door);
  expect(await settled(() => sent)).toBeLessThan(COUNT / 2);
  plugin.hold(false);
  await (await asked).text();
  expect(received).toEqual([...Array.from({ length: COUNT }, (_, n) => n), "end"]);
  await until(() => api.connections === 0 && door.invoker.openSessions === 0);
});
