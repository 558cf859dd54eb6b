import { z } from "zod";
import { formatFault, invalidInput, toFault } from "../../../domain/fault.ts";
import type { TaskEvent } from "../../../domain/task.ts";
import type { TaskWatch } from "../../../installation/contracts.ts";
import type { Store } from "../../../store/store.ts";
import { sseResponse, wantsJson } from "../../answers/sse.ts";
import type { Routes } from "../../route.ts";
import { getTask, TaskParams } from "./get.ts";

const EventSchema = z.looseObject({ seq: z.int(), at: z.string(), type: z.string() });

export interface TaskEventsDeps {
  readonly store: Pick<Store, "tasks">;
  readonly taskWatch: TaskWatch;
  readonly settings: { readonly pingMs: number };
}

export function addTaskEvents(routes: Routes, deps: TaskEventsDeps): void {
  routes.add(
    {
      name: "streamTaskEvents",
      method: "get",
      path: "/v1/tenants/{tenant}/tasks/{id}/events",
      tag: "tasks",
      summary:
        "Streams a task's events, from the first (or after `Last-Event-ID`) to its `end`; with `Accept: application/json` returns those so far.",
      access: { opens: "tenant", scope: "read" },
      params: TaskParams,
      headers: z.object({
        "Last-Event-ID": z
          .string()
          .optional()
          .meta({ description: "`seq` of the last event received; the stream continues after it" }),
      }),
      answers: {
        200: {
          description: "Events named `step`, `progress`, `log`, `warning`, `retry`, `end`",
          content: {
            "text/event-stream": z.string(),
            "application/json": z.object({ items: z.array(EventSchema) }),
          },
        },
      },
      faults: ["task_not_found"],
    },
    async ({ params, header, requestId, streamSignal }) => {
      const { id } = await getTask(deps.store, params);
      const afterSeq = lastEventId(header("last-event-id"));
      if (wantsJson(header("accept"))) {
        const events = await deps.store.tasks.events(id, afterSeq);
        return Response.json({ items: events.map(eventJson) });
      }
      return sseResponse({
        events: (until) => taskEvents(deps.taskWatch.events(id, afterSeq, until)),
        requestId,
        pingMs: deps.settings.pingMs,
        onError: (error) => ({
          event: "error",
          data: { error: formatFault(toFault(error)), request_id: requestId },
        }),
        signals: [streamSignal],
      });
    },
  );
}

function lastEventId(header: string | undefined): number {
  if (header === undefined || header === "") return 0;
  if (!/^\d{1,9}$/.test(header))
    throw invalidInput("Last-Event-ID", header, "the id of an event of this task");
  return Number(header);
}

async function* taskEvents(events: AsyncIterable<TaskEvent>) {
  for await (const event of events)
    yield { event: event.type, id: String(event.seq), data: eventJson(event) };
}

function eventJson(event: TaskEvent): z.input<typeof EventSchema> {
  return { ...event, at: event.at.toISOString() };
}
