import type { FakeSession } from "./fake-runtime.ts";

/** A script that leaves its sessions open for the test, and says when there are enough. */
export function heldSessions() {
  const sessions: FakeSession[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  return {
    sessions,
    script: (session: FakeSession) => {
      sessions.push(session);
      for (const { count, resolve } of waiting) if (sessions.length >= count) resolve();
    },
    async first(count: number): Promise<FakeSession> {
      if (sessions.length < count) await new Promise<void>((resolve) => waiting.push({ count, resolve }));
      const session = sessions[count - 1];
      if (session === undefined) throw new Error("no session");
      return session;
    },
  };
}
