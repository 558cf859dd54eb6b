import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FinishedCall } from "./calls.ts";
import { openRelay, type RelayEnd } from "./relay.ts";

let berth: Server;
let accepted: Promise<Socket>;
beforeEach(async () => {
  berth = createServer();
  accepted = once(berth, "connection").then(([socket]) => socket);
  berth.listen(0, "127.0.0.1");
  await once(berth, "listening");
});
afterEach(() => void berth.close());

function watching() {
  const seen = { registered: 0, calls: [] as FinishedCall[] };
  const closed = Promise.withResolvers<RelayEnd>();
  const called = Promise.withResolvers<FinishedCall>();
  const listener = {
    onRegistered: () => {
      seen.registered += 1;
    },
    onCall: called.resolve,
    onClosed: closed.resolve,
  };
  return { seen, listener, closed: closed.promise, called: called.promise };
}

const address = () => ({ host: "127.0.0.1", port: (berth.address() as AddressInfo).port, tls: false });

test("bytes pass unchanged in both directions, and the calls in them are seen", async () => {
  const { seen, listener, called, closed } = watching();
  await using relay = await openRelay(address(), listener);
  const plugin = connect(relay.port, "127.0.0.1");
  const server = await accepted;
  plugin.write('{"type":"handshake","data":{"key":"k"}}\n{"type":"end","data":{}}\n\n');
  expect(String((await once(server, "data"))[0])).toBe(
    '{"type":"handshake","data":{"key":"k"}}\n{"type":"end","data":{}}\n\n',
  );
  expect(seen.registered).toBe(1);
  const asked =
    '{"session_id":"1","event":"request","data":{"type":"tool","action":"invoke_tool","tool":"ä"}}\n';
  // In the middle of a letter.
  const bytes = Buffer.from(asked);
  const middle = bytes.indexOf("ä") + 1;
  server.write(bytes.subarray(0, middle));
  server.write(bytes.subarray(middle));
  let got = "";
  for await (const chunk of plugin) {
    got += chunk;
    if (got.endsWith("\n")) break;
  }
  plugin.destroy();
  expect(got).toBe(asked);
  expect(await called).toMatchObject({
    name: "tool/invoke_tool ä",
    error: { message: "the plugin ended first" },
  });
  expect(await closed).toEqual({ refusal: undefined, failure: undefined });
});

test("the line with which a Berth refuses a plugin is kept", async () => {
  const { listener, closed } = watching();
  await using relay = await openRelay(address(), listener);
  const plugin = connect(relay.port, "127.0.0.1").on("error", () => undefined);
  (await accepted).end("berth: the key is unknown or has expired\n");
  expect(await closed).toEqual({ refusal: "the key is unknown or has expired", failure: undefined });
  plugin.destroy();
});

test("a debug port that does not answer is named", async () => {
  const { listener, closed } = watching();
  const { port } = address();
  await new Promise((resolve) => berth.close(resolve));
  await using relay = await openRelay({ host: "127.0.0.1", port, tls: false }, listener);
  const plugin = connect(relay.port, "127.0.0.1").on("error", () => undefined);
  expect(await closed).toMatchObject({
    failure: expect.stringContaining(`127.0.0.1:${port} does not answer`),
  });
  plugin.destroy();
});
