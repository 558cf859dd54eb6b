import { expect, test } from "vitest";
import type { SessionFrame } from "../../domain/frame.ts";
import { linkLost } from "./exit-fault.ts";
import { Sessions } from "./sessions.ts";

const nothingIsThrown = (_id: string, error: unknown) => {
  throw error;
};

function opened() {
  const sessions = new Sessions(nothingIsThrown);
  const heard: unknown[] = [];
  sessions.open("a", {
    onFrame: (frame) => heard.push(shown(frame)),
    onLost: (fault) => heard.push(fault.code),
  });
  return { sessions, heard };
}

const item = (n: number) => ({ type: "stream", data: { text: String(n), nodes: 0 } }) as const;
const stream = (n: number) => ({ sessionId: "a", frame: item(n) });
const end = { sessionId: "a", frame: { type: "end" } as const };
const shown = (frame: SessionFrame) => (frame.type === "stream" ? Number(frame.data.text) : frame.type);

test("frames behind large ones wait for them, and large ones for each other", () => {
  const { sessions, heard } = opened();
  sessions.deliver(stream(1), 1);
  const second = sessions.expect("a", 100);
  sessions.deliver(stream(3), 1);
  const fourth = sessions.expect("a", 100);
  sessions.deliver(end, 1);
  fourth(item(4));
  expect(heard).toEqual([1]);
  expect(sessions.heldBytes).toBe(2);
  second(item(2));
  expect(heard).toEqual([1, 2, 3, 4, "end"]);
  expect(sessions.heldBytes).toBe(0);
  expect(sessions.size).toBe(0);
});

test("a session that was closed, ended or lost gets nothing more", () => {
  const { sessions, heard } = opened();
  const later = sessions.expect("a", 100);
  sessions.deliver(stream(1), 1);
  sessions.lose("a", linkLost());
  later(item(0));
  sessions.deliver(stream(2), 1);
  sessions.loseAll(linkLost());
  expect(heard).toEqual(["link_lost"]);
  expect(sessions.heldBytes).toBe(0);
});

test("a listener that closes its session during a held frame gets no other", () => {
  const sessions = new Sessions(nothingIsThrown);
  const heard: unknown[] = [];
  sessions.open("a", {
    onFrame: (frame) => {
      heard.push(shown(frame));
      sessions.close("a");
    },
    onLost: () => undefined,
  });
  const large = sessions.expect("a", 100);
  sessions.deliver(stream(2), 1);
  large(item(1));
  expect(heard).toEqual([1]);
  expect(sessions.heldBytes).toBe(0);
});

test.each(["end", "stream"] as const)(
  "an exception at a frame (%s) ends its own session once and affects no other",
  (type) => {
    const thrown: unknown[] = [];
    const sessions = new Sessions((id, error) => thrown.push([id, error]));
    const failure = new Error("a sink that fails");
    const heard: string[] = [];
    const listener = (name: string) => ({
      onFrame: () => {
        if (name === "a") throw failure;
        heard.push(`${name} frame`);
      },
      onLost: ({ code }: { code: string }) => void heard.push(`${name} ${code}`),
    });
    for (const name of ["a", "b"]) sessions.open(name, listener(name));
    for (const sessionId of ["a", "a", "b"])
      sessions.deliver({ sessionId, frame: type === "end" ? end.frame : item(1) }, 1);
    expect(heard).toEqual(["a internal", "b frame"]);
    expect(thrown).toEqual([["a", failure]]);
    expect(sessions.has("a")).toBe(false);
  },
);

test("a listener that also throws when its session is lost gets nothing more, and other listeners are notified", () => {
  const thrown: unknown[] = [];
  const sessions = new Sessions((_, error) => thrown.push(error));
  const heard: string[] = [];
  const broken = () => {
    throw new Error("no");
  };
  sessions.open("a", { onFrame: broken, onLost: broken });
  sessions.open("b", { onFrame: broken, onLost: ({ code }) => void heard.push(code) });
  const later = sessions.expect("a", 100);
  sessions.deliver(stream(1), 7);
  later(item(0));
  sessions.loseAll(linkLost());
  expect(heard).toEqual(["link_lost"]);
  expect(thrown).toHaveLength(2);
  expect([sessions.size, sessions.heldBytes]).toEqual([0, 0]);
});
