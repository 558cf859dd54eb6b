import { z } from "zod";
import { RecentKeys } from "../../util/recent-keys.ts";
import type { EngineEvent, LabelFilter } from "../engine.ts";
import { type DockerClient, parseAnswer } from "./client.ts";
import { cut } from "./errors.ts";
import { readNdjson } from "./framing.ts";
import { labelQuery, matches, parseLabelMap } from "./translate.ts";

const ACTIONS = ["start", "die", "oom", "kill", "destroy"] as const;

// Only the fields of newer APIs, which lack the old top-level `status`, `id` and `from`.
const Message = z.object({
  Type: z.literal("container"),
  Action: z.enum(ACTIONS),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()).nullish() }),
  timeNano: z.number(),
});

export interface EventRequest {
  readonly labels: LabelFilter;
  readonly since?: Date;
  readonly lineBytesMax: number;
  /** So many of the last events are remembered, so that none is delivered twice. */
  readonly rememberedMax: number;
}

/** The engine keeps the last 256 events, and none across its own restart, so a caller that must know also lists. */
export async function* readEvents(
  client: DockerClient,
  request: EventRequest,
  signal: AbortSignal,
): AsyncGenerator<EngineEvent, void, undefined> {
  const { labels, since, lineBytesMax } = request;
  const filters = JSON.stringify({ type: ["container"], event: [...ACTIONS], label: labelQuery(labels) });
  const query = since === undefined ? { filters } : { filters, since: (since.getTime() / 1_000).toFixed(3) };
  const seen = new RecentKeys(request.rememberedMax);
  try {
    const answer = await client.stream({ method: "GET", path: "/events", query }, signal);
    try {
      for await (const line of readNdjson(answer, { lineBytesMax })) {
        const message = parseAnswer(Message, line, "an event");
        const event = toEvent(message);
        if (!matches(event.labels, labels) || !seen.isNew(keyOf(message))) continue;
        yield event;
      }
      throw cut("the stream of events ended", undefined);
    } finally {
      answer.destroy();
    }
  } catch (error) {
    throw client.streamFailure(error, "the stream of events", signal);
  }
}

function toEvent({ Action, Actor, timeNano }: z.infer<typeof Message>): EngineEvent {
  const attributes = Actor.Attributes ?? {};
  const event = {
    action: Action,
    containerId: Actor.ID,
    labels: parseLabelMap(attributes),
    // Rounded down, so that a replay from this time includes the event.
    at: new Date(Math.floor(timeNano / 1_000_000)),
  };
  const signal = Number(attributes["signal"]);
  if (Action === "kill") return Number.isInteger(signal) ? { ...event, signal } : event;
  const exitCode = Number(attributes["exitCode"]);
  return Action === "die" && Number.isInteger(exitCode) ? { ...event, exitCode } : event;
}

function keyOf({ Actor, Action, timeNano }: z.infer<typeof Message>): string {
  return `${Actor.ID} ${Action} ${timeNano}`;
}
