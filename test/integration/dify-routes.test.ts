/** The routes that clients of dify-plugin-daemon know: one that is missing here or there fails. */
import { describe, expect, test } from "vitest";
import { openDoor } from "../harness/rigs/door.ts";
import { DIFY_KEY, TENANT } from "../harness/samples/callers.ts";
import { DIFY_ROUTES } from "../harness/samples/dify-routes.ts";

/** Whatever a parameter is called, and however one that takes slashes is written. */
function plain({ method, path }: { readonly method: string; readonly path: string }): string {
  const unnamed = path.replaceAll(/:\w+\{[^}]*\}/g, "*").replaceAll(/:\w+/g, ":");
  return `${method.toUpperCase()} ${unnamed}`;
}

const REFUSED = {
  status: 401,
  text: '{"code":-401,"message":"{\\"message\\":\\"unauthorized\\",\\"error_type\\":\\"PluginDaemonUnauthorizedError\\",\\"args\\":null}","data":null}',
};

describe("the routes of the daemon", () => {
  test("are all served", async () => {
    await using door = await openDoor();
    const served = new Set(door.app.dify.table.map(plain));
    expect(DIFY_ROUTES.filter((route) => !served.has(route))).toEqual([]);
  });

  test("are the only ones served, except for metrics and profiles", async () => {
    await using door = await openDoor();
    const known = new Set([...DIFY_ROUTES, "GET /metrics", "GET /debug/pprof/*"]);
    expect(door.app.dify.table.map(plain).filter((route) => !known.has(route))).toEqual([]);
  });

  test("require the platform's key before anything else if they act for a tenant", async () => {
    await using door = await openDoor();
    const { url } = await door.listen();
    const guarded = door.app.dify.table.filter(({ path }) => /^\/(plugin|v2)\//.test(path));
    expect(guarded.length).toBeGreaterThan(90);
    for (const { method, path } of guarded) {
      const to = path.replace(":tenant_id", TENANT).replaceAll(/:\w+(\{[^}]*\})?|\*/g, "x");
      for (const key of [undefined, "wrong", `${DIFY_KEY}x`]) {
        const headers = key === undefined ? {} : { "x-api-key": key };
        const answer = await fetch(new URL(to, url), { method, headers });
        expect({ path, status: answer.status, text: await answer.text() }).toEqual({ path, ...REFUSED });
      }
    }
  });

  test("do not exist without a configured key, and the answer names the setting that opens them", async () => {
    await using door = await openDoor({ settings: { dify: { key: undefined, adminKey: undefined } } });
    const answer = await door.ask("GET", `/plugin/${TENANT}/management/list`);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({
      error: { code: "not_found", message: expect.stringContaining("BERTH_DIFY_KEY") },
    });
  });
});
