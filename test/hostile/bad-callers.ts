/** Clients that attack by the way in which they call a plugin that does nothing wrong. */
import { deepStrictEqual } from "node:assert";
import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { eventually, toolRequest, toolTexts } from "../harness/clients/client.ts";
import type { Attack, Attacker, HostileSite } from "../harness/rigs/hostile.ts";

/** Those of one installation at once. */
const CLIENTS = 10;
/** One by one, with another caller's whole call between them. */
const SLOW_BYTES = 20;
/** Fewer, as each makes the plugin say more than sockets and Berth hold for a caller. */
const NEVER_READ = 4;
/** Of a machine whose processors are all taken. */
const SLOW_MS_MAX = 240_000;
const LIMITS = { concurrency_max: CLIENTS + 5 };

/** The head of a call is sent; its body is the caller's to send. Destroyed at the latest when the attack is over. */
function open(
  { berth }: HostileSite,
  attacker: Attacker,
  call: object,
): { sent: ClientRequest; body: string } {
  const { path, body } = toolRequest(attacker.call("answer_long", { ...call }));
  const json = JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${berth.adminKey}`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(json),
  };
  const sent = request(new URL(path, berth.url), { method: "POST", headers, agent: false });
  sent.on("error", () => undefined);
  return { sent, body: json };
}

async function answerTo(sent: ClientRequest): Promise<IncomingMessage> {
  const [answer] = await once(sent, "response");
  answer.on("error", () => undefined);
  return answer;
}

/** How calls of the attacker have ended that did not end well. */
function failedCalls({ berth }: HostileSite, { tenant }: Attacker): readonly unknown[] {
  return berth.log
    .filter((line) => line["op"] === "invocation.invoke" && line["tenant_id"] === tenant && !line["ok"])
    .map(({ code }) => code);
}

const neverRead: Attack = {
  name: "clients that never read",
  limits: LIMITS,
  async run(attacker, hostile) {
    const before = failedCalls(hostile, attacker).length;
    const clients = Array.from({ length: NEVER_READ }, () =>
      open(hostile, attacker, { messages: 32, bytes: 1 << 20 }),
    );
    try {
      await Promise.all(
        clients.map(({ sent, body }) => {
          sent.end(body);
          return answerTo(sent);
        }),
      );
      // Its other callers are served beside them.
      deepStrictEqual(await toolTexts(hostile.berth, attacker.call("none")), ["here"]);
      const ends = await eventually(async () => {
        const failed = failedCalls(hostile, attacker).slice(before);
        return failed.length >= NEVER_READ ? failed : undefined;
      }, SLOW_MS_MAX);
      deepStrictEqual(new Set(ends), new Set(["slow_caller"]));
    } finally {
      for (const { sent } of clients) sent.destroy();
    }
  },
};

const sendSlowly: Attack = {
  name: "clients that send slowly",
  limits: LIMITS,
  async run(attacker, hostile) {
    const clients = Array.from({ length: CLIENTS }, () => open(hostile, attacker, { messages: 1, bytes: 1 }));
    const answers = clients.map(({ sent }) => answerTo(sent));
    try {
      for (let at = 0; at < SLOW_BYTES; at++) {
        for (const { sent, body } of clients) sent.write(body.charAt(at));
        deepStrictEqual(await toolTexts(hostile.berth, attacker.call("none")), ["here"]);
      }
      for (const { sent, body } of clients) sent.end(body.slice(SLOW_BYTES));
      for (const answer of await Promise.all(answers)) deepStrictEqual(answer.statusCode, 200);
    } finally {
      for (const { sent } of clients) sent.destroy();
    }
  },
};

const leave: Attack = {
  name: "clients that leave",
  limits: LIMITS,
  async run(attacker, hostile) {
    // More than may be in flight: where one of them kept its place, a later one would be refused.
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        Array.from({ length: CLIENTS }, async () => {
          const { sent, body } = open(hostile, attacker, { messages: 3, bytes: 1 << 16 });
          sent.end(body);
          const answer = await answerTo(sent);
          deepStrictEqual(answer.statusCode, 200);
          sent.destroy();
        }),
      );
    }
  },
};

export const BAD_CALLERS: readonly Attack[] = [neverRead, sendSlowly, leave].map((attack) => ({
  ...attack,
  onlyAlone: true as const,
}));
