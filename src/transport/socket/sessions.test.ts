import { expect, test } from "vitest";
import { linkLost } from "./exit-fault.ts";
import { Sessions } from "./sessions.ts";

function opened() {
  const sessions = new Sessions();
  const heard: unknown[] = [];
  sessions.open("a", {
    onFrame: (frame) => heard.push(frame.type === "end" ? "end" : frame.data),
    onLost: (fault) => heard.push(fault.code),
  });
  return { sessions, heard };
}

const stream = (data: unknown) => ({ sessionId: "a", frame: { type: "stream", data } as const });
const end = { sessionId: "a", frame: { type: "end", data: {} } as const };

test("frames behind large ones wait for them, and large ones for each other", () => {
  const { sessions, heard } = opened();
  sessions.deliver(stream(1), 1);
  const second = sessions.expect("a", 100);
  sessions.deliver(stream(3), 1);
  const fourth = sessions.expect("a", 100);
  sessions.deliver(end, 1);
  fourth({ type: "stream", data: 4 });
  expect(heard).toEqual([1]);
  expect(sessions.heldBytes).toBe(2);
  second({ type: "stream", data: 2 });
  expect(heard).toEqual([1, 2, 3, 4, "end"]);
  expect(sessions.heldBytes).toBe(0);
  expect(sessions.size).toBe(0);
});

test("a session that was closed, ended or lost hears nothing more", () => {
  const { sessions, heard } = opened();
  const later = sessions.expect("a", 100);
  sessions.deliver(stream(1), 1);
  sessions.lose("a", linkLost());
  later({ type: "stream", data: 0 });
  sessions.deliver(stream(2), 1);
  sessions.loseAll(linkLost());
  expect(heard).toEqual(["link_lost"]);
  expect(sessions.heldBytes).toBe(0);
});

test("a listener that closes its session while it hears a held frame hears no other", () => {
  const sessions = new Sessions();
  const heard: unknown[] = [];
  sessions.open("a", {
    onFrame: (frame) => {
      heard.push(frame.data);
      sessions.close("a");
    },
    onLost: () => undefined,
  });
  const large = sessions.expect("a", 100);
  sessions.deliver(stream(2), 1);
  large({ type: "stream", data: 1 });
  expect(heard).toEqual([1]);
  expect(sessions.heldBytes).toBe(0);
});
