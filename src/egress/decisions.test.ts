import { describe, expect, it } from "vitest";
import { silentLog } from "../observe/log.ts";
import { logDecisions, parseDecisions } from "./decisions.ts";

const STARTED = 1_000;
const senders = new Map([["172.18.0.3", { plugin: "ann/mail", pool: "p1", startedAt: STARTED }]]);

function told(text: string): object[] {
  const lines: object[] = [];
  const write = (fields: object) => void lines.push(fields);
  const decisions = parseDecisions(text);
  if (decisions !== undefined) logDecisions(decisions, senders, { ...silentLog, info: write, warn: write });
  return lines;
}

describe("decisions of the guard", () => {
  it("are logged with plugin and destination if refused, and as one sum if allowed", () => {
    const text = JSON.stringify({
      op: "counts",
      refused: [["172.18.0.3", "169.254.169.254", 6, 80, 2, STARTED + 5]],
      allowed: [
        ["172.18.0.3", "203.0.113.2", 6, 443, 3, STARTED + 1],
        ["172.18.0.3", "203.0.113.9", 17, 443, 1, STARTED + 2],
      ],
      names: [["172.18.0.3", "evil.example", 1, STARTED]],
    });
    const who = { plugin: "ann/mail", pool: "p1" };
    expect(told(text)).toEqual([
      { op: "egress.refused", ok: false, ...who, to: "169.254.169.254:80/tcp", count: 2 },
      { op: "egress.refused", ok: false, ...who, to: "evil.example", count: 1 },
      { op: "egress.allowed", ok: true, plugin: "ann/mail", destinations: 2, count: 4 },
    ]);
  });

  it("are at most twenty lines for each report, and one line with the rest", () => {
    const refused = Array.from({ length: 500 }, (_, port) => [
      "172.18.0.3",
      "192.0.2.1",
      6,
      port,
      1,
      STARTED,
    ]);
    const lines = told(JSON.stringify({ op: "counts", refused }));
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toMatchObject({ plugin: "ann/mail", destinations: 480, count: 480 });
  });

  it("from before a plugin's container started do not count for the plugin, even if the same is refused later", () => {
    const text = JSON.stringify({
      op: "counts",
      refused: [
        ["172.18.0.3", "169.254.169.254", 6, 80, 3, STARTED - 1],
        ["172.18.0.3", "169.254.169.254", 6, 80, 1, STARTED + 1],
        ["172.18.0.3", "169.254.169.254", 6, 80, 1, STARTED + 9],
        ["172.18.0.3", "192.0.2.1", 6, 22, 1, STARTED - 1],
      ],
      allowed: [["172.18.0.3", "203.0.113.2", 6, 443, 3, STARTED - 1]],
      names: [["172.18.0.3", "evil.example", 1, STARTED - 1]],
    });
    expect(told(text)).toEqual([
      {
        op: "egress.refused",
        ok: false,
        plugin: "ann/mail",
        pool: "p1",
        to: "169.254.169.254:80/tcp",
        count: 2,
      },
    ]);
  });

  it("of unknown senders are ignored, and so are lines that are not reports", () => {
    expect(
      told(JSON.stringify({ op: "counts", refused: [["10.0.0.9", "192.0.2.1", 6, 1, 1, STARTED]] })),
    ).toEqual([]);
    expect(told('{"op":"ready"}')).toEqual([]);
    expect(told("half a li")).toEqual([]);
  });
});
