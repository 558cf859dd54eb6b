/** A door whose plugins call a platform back, and what they hear of it. */

import { createInnerApi, type InnerApiSettings } from "../../../src/platform/inner-api.ts";
import { openTlsContext } from "../../../src/util/tls-context.ts";
import { invokeTool } from "../clients/invocations.ts";
import { until } from "../clients/until.ts";
import type { FakeSession } from "../doubles/fake-runtime.ts";
import { heldSessions } from "../doubles/held-sessions.ts";
import type { DoorOptions } from "./door.ts";
import { openTestDoor } from "./test-door.ts";

/** A manifest that asks for everything. */
const MODEL_FLAGS = ["llm", "text_embedding", "rerank", "tts", "speech2text", "moderation"];
const enabled = { enabled: true };
const ALL_PERMISSIONS = {
  memory: 1,
  permission: {
    tool: enabled,
    model: { ...enabled, ...Object.fromEntries(MODEL_FLAGS.map((flag) => [flag, true])) },
    node: enabled,
    app: enabled,
    storage: { ...enabled, size: 1024 },
  },
};

/** One line of an answer, as the plugin reads it. */
export interface AnswerLine {
  readonly backwards_request_id: string;
  readonly event: string;
  readonly message: string;
  readonly data: unknown;
}

/** What has come for one call back of a session. */
export function answersOf(session: FakeSession, id: string): AnswerLine[] {
  return session.sent
    .map((line) => (JSON.parse(line) as { data: AnswerLine }).data)
    .filter((answer) => answer.backwards_request_id === id);
}

/** Asks, and resolves with the whole answer. */
export async function callBack(session: FakeSession, type: string, request: object = {}, id = type) {
  session.invoke({ type, backwards_request_id: id, request });
  await until(() => answersOf(session, id).some(({ event }) => event === "end"));
  return answersOf(session, id);
}

export async function openPlatformDoor(
  url: string,
  { inner = {}, ...options }: DoorOptions & { readonly inner?: Partial<InnerApiSettings> } = {},
) {
  const innerApi = createInnerApi({
    url,
    key: "inner key",
    trust: await openTlsContext({}),
    connectTimeoutMs: 5000,
    timeoutMs: 100,
    answerBytesMax: 100,
    itemBytesMax: 100_000,
    ...inner,
  });
  const { script, first } = heldSessions();
  const declaration = { resource: ALL_PERMISSIONS };
  const door = await openTestDoor({ script, declaration, innerApi, ...options });
  /** Calls the plugin; its session stays open until the test ends it. */
  let calls = 0;
  const call = async (body?: unknown) => {
    const asked = invokeTool(door, body);
    return { session: await first(++calls), asked };
  };
  return { door, call, first };
}
