/** Installs, upgrades, uninstalls and tasks as clients of dify-plugin-daemon ask for them: every answer and refusal. */
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { IDENTIFIER } from "../harness/builders/a-stored-package.ts";
import { type Door, openDoor } from "../harness/rigs/door.ts";
import { DIFY_KEY, OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";

const NEXT = IDENTIFIER.replace("0.0.1", "0.0.2");
const OTHER = IDENTIFIER.replace("echo", "other");
const UNKNOWN = "6f1a1c1e-0000-4000-8000-00000000000f";

let door: Door;
beforeEach(async () => {
  await door?.[Symbol.asyncDispose]();
  door = await openDoor();
  const [pkg] = door.memory.packages;
  if (pkg === undefined) throw new Error("the door has no package");
  const declaration = { ...pkg.declaration, label: { en_US: "Other" }, icon: "i.svg", icon_dark: "d.svg" };
  door.memory.packages.push({
    ...pkg,
    identifier: OTHER,
    pluginId: "berth/other",
    name: "other",
    declaration,
  });
});
afterAll(() => door?.[Symbol.asyncDispose]());

interface Envelope {
  readonly code: number;
  readonly message: string;
  readonly data: unknown;
}

async function ask(path: string, body?: unknown, tenant: string = TENANT) {
  const answer = await door.ask(body === undefined ? "GET" : "POST", `/plugin/${tenant}/management/${path}`, {
    key: "",
    headers: { "x-api-key": DIFY_KEY },
    ...(body !== undefined && { body }),
  });
  const { code, message, data } = (await answer.json()) as Envelope;
  const error = code === 0 ? {} : (JSON.parse(message) as { message: string; error_type: string });
  return { status: answer.status, code, data, ...error };
}

const installing = (identifiers: readonly string[], changes: object = {}) => ({
  plugin_unique_identifiers: identifiers,
  source: "marketplace",
  metas: identifiers.map(() => ({})),
  ...changes,
});
const upgrading = (from: string, to: string, changes: object = {}) => ({
  original_plugin_unique_identifier: from,
  new_plugin_unique_identifier: to,
  source: "github",
  meta: { repo: "a/b" },
  ...changes,
});
const refused = (type: string, code: number, message: unknown, status = 200) => ({
  status,
  code,
  error_type: type,
  args: null,
  message,
  data: null,
});
const bad = (message: unknown, status = 200) => refused("PluginDaemonBadRequestError", -400, message, status);
const internal = (message: unknown) => refused("PluginDaemonInternalServerError", -500, message);
const done = (data: unknown) => ({ status: 200, code: 0, data });

async function taskOf(identifiers: readonly string[] = [OTHER]): Promise<string> {
  const { data } = await ask("install/identifiers", installing(identifiers));
  return (data as { task_id: string }).task_id;
}

describe("must be identical 6: install/identifiers", () => {
  test("creates no task and answers an empty task id if the tenant has every plugin in any version", async () => {
    const nothing = done({ all_installed: true, task_id: "" });
    expect(await ask("install/identifiers", installing([IDENTIFIER]))).toEqual(nothing);
    expect(await ask("install/identifiers", installing([NEXT]))).toEqual(nothing);
    expect(await ask("install/identifiers", installing([]))).toEqual(nothing);
    expect(door.memory.installTasks).toEqual([]);
  });

  test("answers at once with a task that shows each item with the labels and icons of its declaration", async () => {
    const asked = installing([OTHER, IDENTIFIER], { metas: [{ a: 1 }, null], source: "my own" });
    const { data } = await ask("install/identifiers", asked);
    expect(data).toEqual({ all_installed: false, task_id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    const id = (data as { task_id: string }).task_id;
    const item = { icon: "", icon_dark: "", status: "pending", message: "", source: "my own" };
    const task = {
      id,
      status: "running",
      tenant_id: TENANT,
      total_plugins: 2,
      completed_plugins: 0,
      created_at: "1970-01-01T00:00:00.000Z",
      updated_at: "1970-01-01T00:00:00.000Z",
      plugins: [
        {
          ...item,
          plugin_unique_identifier: OTHER,
          plugin_id: "berth/other",
          labels: { en_US: "Other" },
          icon: "i.svg",
          icon_dark: "d.svg",
        },
        { ...item, plugin_unique_identifier: IDENTIFIER, plugin_id: "berth/echo", labels: { en_US: "" } },
      ],
    };
    expect(await ask(`install/tasks/${id}`)).toEqual(done(task));
    expect(await ask("install/tasks?page=1&page_size=256")).toEqual(done([task]));
    expect(await ask("install/tasks?page=2&page_size=256")).toEqual(done([]));
  });

  test("creates one item for an identifier that is given twice", async () => {
    const asked = installing([OTHER, OTHER], { metas: [{ k: ["x"] }, { n: "\\u0000" }] });
    expect((await ask("install/identifiers", { ...asked, source: "s" })).code).toBe(0);
    expect(door.memory.installTasks[0]?.items).toMatchObject([{ identifier: OTHER, source: "s" }]);
  });

  test.each([
    ["source", { ...installing([OTHER]), source: "s\u0000" }],
    ["metas", installing([OTHER], { metas: [{ k: ["\ud800x"] }] })],
    ["metas", installing([OTHER], { metas: [{ "k\u0000": 1 }] })],
  ])(
    "refuses the request, before a task is created, if %s holds text that cannot be stored",
    async (field, body) => {
      expect(await ask("install/identifiers", body)).toEqual(bad(expect.stringContaining(field), 400));
      expect(door.memory.installTasks).toEqual([]);
    },
  );

  test("refuses the whole request, before a task is created, if one package was never uploaded", async () => {
    const missing = internal("plugin not found\nfailed to get plugin declaration");
    expect(await ask("install/identifiers", installing([OTHER, NEXT.replace("echo", "gone")]))).toEqual(
      missing,
    );
    expect(door.memory.installTasks).toEqual([]);
  });

  const refusals: readonly (readonly [string, object, object])[] = [
    [
      "no identifiers",
      { source: "s", metas: [] },
      bad(expect.stringContaining("'PluginUniqueIdentifiers' failed on the 'required'"), 400),
    ],
    [
      "no source",
      { ...installing([OTHER]), source: "" },
      bad(expect.stringContaining("'Source' failed on the 'required'"), 400),
    ],
    [
      "65 identifiers",
      installing(Array.from({ length: 65 }, () => OTHER)),
      bad(expect.stringContaining("failed on the 'max'"), 400),
    ],
    [
      "a malformed identifier",
      installing([OTHER, "x"]),
      bad(expect.stringContaining("failed on the 'plugin_unique_identifier'"), 400),
    ],
    [
      "too few metas",
      installing([OTHER], { metas: [] }),
      bad("the number of metas must be equal to the number of plugin unique identifiers"),
    ],
    [
      "no metas",
      installing([OTHER], { metas: null }),
      bad("the number of metas must be equal to the number of plugin unique identifiers"),
    ],
    [
      "a source that is too long",
      installing([OTHER], { source: "s".repeat(64) }),
      bad(expect.stringContaining("at most 63 characters")),
    ],
  ];
  test.each(refusals)("refuses %s", async (_name, body, refusal) => {
    expect(await ask("install/identifiers", body)).toEqual(refusal);
    expect(door.memory.installTasks).toEqual([]);
  });
});

describe("install/upgrade", () => {
  test("answers with a task of one item, even for a package that was never uploaded", async () => {
    const { data } = await ask("install/upgrade", upgrading(IDENTIFIER, NEXT, { meta: null }));
    expect(data).toMatchObject({ all_installed: false });
    const { task_id: id } = data as { task_id: string };
    const { data: task } = await ask(`install/tasks/${id}`);
    expect(task).toMatchObject({
      plugins: [{ plugin_unique_identifier: NEXT, labels: { en_US: "" }, icon: "", source: "github" }],
    });
  });

  const long = `berth/${"e".repeat(240)}:0.0.1@${"a".repeat(64)}`;
  const refusals: readonly (readonly [string, object, object, tenant?: string])[] = [
    [
      "the same identifier",
      upgrading(IDENTIFIER, IDENTIFIER),
      bad("original and new plugin unique identifier are the same"),
    ],
    ["another plugin", upgrading(IDENTIFIER, OTHER), bad("original and new plugin id are different")],
    [
      "a version that the tenant does not have",
      upgrading(NEXT, IDENTIFIER),
      refused("PluginDaemonNotFoundError", -404, "plugin installation not found for this tenant"),
    ],
    [
      "an installation of another tenant",
      upgrading(IDENTIFIER, NEXT),
      refused("PluginDaemonNotFoundError", -404, "plugin installation not found for this tenant"),
      OTHER_TENANT,
    ],
    [
      "an identifier that is too long",
      upgrading(long, long.replace("0.0.1", "0.0.2")),
      bad(expect.stringContaining("at most 255 characters")),
    ],
    [
      "a malformed identifier",
      upgrading(IDENTIFIER, "echo"),
      bad(
        expect.stringContaining("'NewPluginUniqueIdentifier' failed on the 'plugin_unique_identifier'"),
        400,
      ),
    ],
    [
      "no source",
      upgrading(IDENTIFIER, NEXT, { source: null }),
      bad(expect.stringContaining("'Source'"), 400),
    ],
  ];
  test.each(refusals.map((row) => [row[0], row] as const))("refuses %s", async (_name, row) => {
    const [, body, refusal, tenant = TENANT] = row;
    expect(await ask("install/upgrade", body, tenant)).toEqual(refusal);
    expect(door.memory.installTasks).toEqual([]);
  });
});

describe("install/tasks", () => {
  test.each([
    "page=0&page_size=1",
    "page=1&page_size=257",
    "page=1",
    "page_size=5",
    "page=x&page_size=1",
    "",
  ])("refuses ?%s", async (query) => {
    expect(await ask(`install/tasks?${query}`)).toEqual(bad(expect.stringContaining("failed on the"), 400));
  });

  test("finds no task of another tenant, for an unknown id, or for an id that is not a UUID", async () => {
    const id = await taskOf();
    expect(await ask(`install/tasks/${id}`, undefined, OTHER_TENANT)).toEqual(internal("record not found"));
    expect(await ask(`install/tasks/${UNKNOWN}`)).toEqual(internal("record not found"));
    expect(await ask("install/tasks/00000000-0000-0000-0000-0000000000zz")).toEqual(
      internal(expect.stringContaining("invalid input syntax for type uuid")),
    );
    expect(await ask("install/tasks?page=1&page_size=1", undefined, OTHER_TENANT)).toEqual(done([]));
  });

  test("deletes a task by its id, and answers true for unknown tasks and tasks of other tenants", async () => {
    const id = await taskOf();
    expect(await ask(`install/tasks/${id}/delete`, {}, OTHER_TENANT)).toEqual(done(true));
    expect(await ask(`install/tasks/${UNKNOWN}/delete`, {})).toEqual(done(true));
    expect(await ask(`install/tasks/${id}`)).toMatchObject({ code: 0 });
    expect(await ask(`install/tasks/${id}/delete`, {})).toEqual(done(true));
    expect(await ask(`install/tasks/${id}`)).toEqual(internal("record not found"));
  });

  test("deletes all tasks of one tenant at once", async () => {
    await taskOf();
    expect(await ask("install/tasks/delete_all", {}, OTHER_TENANT)).toEqual(done(true));
    expect(door.memory.installTasks).toHaveLength(1);
    expect(await ask("install/tasks/delete_all", {})).toEqual(done(true));
    expect(door.memory.installTasks).toEqual([]);
  });

  test("deletes an item by the rest of the path, plain or percent-encoded", async () => {
    const id = await taskOf([OTHER, IDENTIFIER]);
    const items = () => door.memory.installTasks[0]?.items.map(({ identifier }) => identifier);
    expect(await ask(`install/tasks/${id}/delete/${OTHER}`, {}, OTHER_TENANT)).toEqual(done(true));
    expect(await ask(`install/tasks/${UNKNOWN}/delete/${OTHER}`, {})).toEqual(done(true));
    expect(items()).toEqual([OTHER, IDENTIFIER]);
    expect(await ask(`install/tasks/${id}/delete/no-identifier`, {})).toEqual(
      bad("plugin_unique_identifier is not valid: no-identifier"),
    );
    expect(await ask(`install/tasks/${id}/delete/${OTHER}`, {})).toEqual(done(true));
    expect(items()).toEqual([IDENTIFIER]);
    const escaped = encodeURIComponent(IDENTIFIER);
    expect(await ask(`install/tasks/${id}/delete//${escaped}`, {})).toEqual(done(true));
    expect(door.memory.installTasks).toEqual([]);
  });
});

describe("improved 3: uninstall", () => {
  const id = () => door.memory.installations[0]?.id ?? "";

  test("answers true for the tenant's own installation, for an unknown one, and for another tenant's, which stays", async () => {
    expect(await ask("uninstall", { plugin_installation_id: id() }, OTHER_TENANT)).toEqual(done(true));
    expect(await ask("uninstall", { plugin_installation_id: UNKNOWN })).toEqual(done(true));
    expect(door.uninstalled).toEqual([]);
    expect(await ask("uninstall", { plugin_installation_id: id().toUpperCase() })).toEqual(done(true));
    expect(door.uninstalled).toEqual([{ id: id(), force: true }]);
  });

  test("refuses a missing id and an id that is not a UUID", async () => {
    expect(await ask("uninstall", {})).toEqual(bad(expect.stringContaining("'PluginInstallationID'"), 400));
    expect(await ask("uninstall", { plugin_installation_id: "x" })).toEqual(
      internal('invalid input syntax for type uuid: "x"'),
    );
  });
});
