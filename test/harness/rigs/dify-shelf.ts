/** The door of the daemon on a real store and a real folder of packages, without an engine: uploads and look-ups. */
import { join } from "node:path";
import { TaskId, type TenantId } from "../../../src/domain/ids.ts";
import { createPackageAssets } from "../../../src/installation/packages/package-assets.ts";
import { createPackageDecoder } from "../../../src/installation/packages/package-decoder.ts";
import { createPackageTexts } from "../../../src/installation/packages/package-texts.ts";
import { DEFAULT_READ_OPTIONS } from "../../../src/packages/read-package.ts";
import { createDiskFiles } from "../../../src/storage/disk/disk-files.ts";
import type { Store } from "../../../src/store/store.ts";
import { Scope } from "../../../src/util/scope.ts";
import { DIFY_KEY } from "../samples/callers.ts";
import { LIMITS } from "../samples/tenant-rows.ts";
import { type Door, openDoor } from "./door.ts";
import { type IntakeChanges, openIntake, type TestIntake } from "./intake.ts";
import type { TestDatabase } from "./stores.ts";

/** What the door answered, taken apart as a client does. */
export interface DifyAnswer {
  readonly status: number;
  readonly code: number;
  readonly data: unknown;
  /** `type: message` of an error. */
  readonly error: string | undefined;
}

export interface Shelf extends AsyncDisposable {
  readonly door: Door;
  readonly intake: TestIntake;
  readonly store: Store;
  get(path: string): Promise<DifyAnswer>;
  post(path: string, body: unknown): Promise<DifyAnswer>;
  /** As platforms send a file. */
  upload(path: string, form: FormData): Promise<DifyAnswer>;
  raw(path: string, init?: RequestInit): Promise<Response>;
}

export async function openShelf(database: TestDatabase, changes: IntakeChanges = {}): Promise<Shelf> {
  const scope = new Scope();
  const intake = scope.use(await openIntake(database, changes));
  const { store, packages, uploads, bundles, reader, trust } = intake;
  const texts = createPackageTexts({ packages, store, archives: DEFAULT_READ_OPTIONS });
  const files = createDiskFiles({ root: join(database.dataFolder, "storage") });
  const door = scope.use(
    await openDoor({
      parts: {
        ...{ store, uploads, bundles, texts, trust },
        decoder: createPackageDecoder({ packages, reader, store, trust }),
        assets: createPackageAssets({ files, folder: "assets", store, texts }),
      },
    }),
  );
  const key = { "x-api-key": DIFY_KEY };
  const fetch = async (path: string, init: RequestInit = {}) =>
    await door.app.fetch(
      new Request(`http://door${path}`, { ...init, headers: { ...key, ...Object(init.headers) } }),
    );
  const taken = async (path: string, init?: RequestInit) => takeApart(await fetch(path, init));
  return {
    ...{ door, intake, store },
    raw: fetch,
    get: (path) => taken(path),
    post: (path, body) =>
      taken(path, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    upload: async (path, form) => taken(path, await sentForm(form)),
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

/** The form as bytes: Node's own streaming of one throws where its reader stops early. */
export async function sentForm(form: FormData): Promise<RequestInit> {
  const whole = new Response(form);
  const type = whole.headers.get("content-type") ?? "";
  return { method: "POST", headers: { "content-type": type }, body: await whole.arrayBuffer() };
}

export async function takeApart(answer: Response): Promise<DifyAnswer> {
  const { code, message, data } = JSON.parse(await answer.text());
  const inner = code === 0 ? undefined : JSON.parse(message);
  const error = inner === undefined ? undefined : `${inner.error_type}: ${inner.message}`;
  return { status: answer.status, code, data, error };
}

/** As an install ends, without anything that runs. */
export async function publish(
  store: Store,
  {
    tenantId,
    identifier,
    source = "package",
    meta = {},
  }: {
    readonly tenantId: TenantId;
    readonly identifier: string;
    readonly source?: string;
    readonly meta?: Readonly<Record<string, unknown>>;
  },
): Promise<string> {
  const pluginId = identifier.slice(0, identifier.indexOf(":"));
  const { installation, task } = await store.installations.acceptInstall({
    ...{ tenantId, pluginId, identifier, limitsAsked: { memoryIsHard: false } },
    ...{ limitsGranted: LIMITS, source, meta, warnings: [] },
  });
  const claim = await store.tasks.claim(task.id, "a test", 60_000);
  await store.installations.publishReady(TaskId.parse(task.id), claim?.attempt ?? 0);
  return installation.id;
}
