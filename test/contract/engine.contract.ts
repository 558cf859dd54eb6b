/** The engine's contract on lifecycle, labels, events and networks; the real engine and the one in memory run it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ContainerSpec } from "../../src/domain/container.ts";
import { isFault } from "../../src/domain/fault.ts";
import type { Engine, EngineEvent } from "../../src/engine/engine.ts";
import { within } from "../harness/rigs/test-engine.ts";

export interface EngineSubject extends AsyncDisposable {
  readonly engine: Engine;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  name(hint: string): string;
  /** A container that runs until it is stopped. */
  spec(changes?: Partial<ContainerSpec>): ContainerSpec;
  /** Makes and starts one that ends by itself; resolves with its id when it may still be running. */
  runEnding(how: { exitCode: number } | { oom: true }): Promise<string>;
}

export interface EngineCapabilities {
  /** Containers have processes, files and logs of their own. */
  readonly processes: boolean;
}

export function engineContract(
  name: string,
  makeEngine: () => Promise<EngineSubject>,
  { processes }: EngineCapabilities,
): void {
  describe(`${name} engine`, () => {
    let subject: EngineSubject;
    beforeAll(async () => {
      subject = await makeEngine();
    });
    afterAll(async () => {
      await subject[Symbol.asyncDispose]();
    });
    const create = async (changes?: Partial<ContainerSpec>) =>
      await subject.engine.createContainer(subject.spec(changes), within());
    const run = async (changes?: Partial<ContainerSpec>) => {
      const id = await create(changes);
      await subject.engine.startContainer(id, within());
      return id;
    };
    const find = (id: string) => subject.engine.findContainer(id, within());

    test("info has the machine's architecture, size and API", async () => {
      const info = await subject.engine.info(within());
      expect(["amd64", "arm64"]).toContain(info.arch);
      expect(info.cpus).toBeGreaterThan(0);
      expect(info.memoryBytes).toBeGreaterThan(1 << 20);
      expect(info.apiVersion).toMatch(/^1\.\d+$/);
    });

    test("a container is found by id and by name, with its labels and its phase", async () => {
      const spec = subject.spec({ labels: { flavour: "mint" } });
      const id = await subject.engine.createContainer(spec, within());
      const image = await subject.engine.findImage(subject.image, within());
      expect(await find(id)).toMatchObject({ id, name: spec.name, phase: "created", image: image?.id });
      expect(await find(spec.name)).toMatchObject({ id, labels: { ...subject.labels, flavour: "mint" } });
      await subject.engine.startContainer(id, within());
      const running = await find(id);
      expect(running).toMatchObject({ phase: "running", exitCode: undefined, oomKilled: false });
      expect(running?.startedAt).toBeInstanceOf(Date);
    });

    test("an unknown container or image is undefined in a look-up and not_found in a start or create", async () => {
      const nobody = subject.name("nobody");
      expect(await find(nobody)).toBeUndefined();
      expect(await subject.engine.findImage("no-such/image:here", within())).toBeUndefined();
      await expect(subject.engine.startContainer(nobody, within())).rejects.toMatchObject({
        code: "not_found",
      });
      const imageless = subject.engine.createContainer(
        subject.spec({ image: "no-such/image:here" }),
        within(),
      );
      await expect(imageless).rejects.toMatchObject({ code: "not_found" });
    });

    test("a taken name is a conflict, and the first container is not changed", async () => {
      const spec = subject.spec();
      const id = await subject.engine.createContainer(spec, within());
      await expect(subject.engine.createContainer(spec, within())).rejects.toMatchObject({
        code: "conflict",
      });
      expect((await find(spec.name))?.id).toBe(id);
    });

    test("starting, stopping, killing and removing twice succeeds each time", async () => {
      const { engine } = subject;
      const id = await run();
      await engine.startContainer(id, within());
      await engine.stopContainer(id, { graceMs: 0 }, within());
      expect(await find(id)).toMatchObject({ phase: "exited" });
      await engine.stopContainer(id, { graceMs: 0 }, within());
      await engine.killContainer(id, within());
      await engine.removeContainer(id, within());
      await engine.removeContainer(id, within());
      await engine.stopContainer(id, { graceMs: 0 }, within());
      await engine.killContainer(id, within());
      expect(await find(id)).toBeUndefined();
    });

    test("a running container takes new limits and keeps running, and repeating them changes nothing", async () => {
      const id = await run();
      const before = await find(id);
      const resources = { memoryBytes: 96 << 20, cpuMillis: 250, pidsMax: 33 };
      await subject.engine.updateContainer(id, resources, within());
      await subject.engine.updateContainer(id, resources, within());
      expect(await find(id)).toEqual({ ...before, resources });
      await expect(
        subject.engine.updateContainer(subject.name("nobody"), resources, within()),
      ).rejects.toMatchObject({ code: "not_found" });
    });

    test("a killed container no longer runs when the call resolves, and has exit code 137", async () => {
      const id = await run();
      await subject.engine.killContainer(id, within());
      expect(await find(id)).toMatchObject({ phase: "exited", exitCode: 137, oomKilled: false });
    });

    test("a removal removes a running container, even with two concurrent requests", async () => {
      const id = await run();
      const remove = () => subject.engine.removeContainer(id, within());
      await Promise.all([remove(), remove()]);
      expect(await find(id)).toBeUndefined();
    });

    test("a list holds exactly the containers with all labels, running or not, and an empty value matches any value", async () => {
      const list = async (labels: Record<string, string>) =>
        (await subject.engine.listContainers({ ...subject.labels, ...labels }, within()))
          .map(({ id }) => id)
          .sort();
      const a = await create({ labels: { shelf: "one", kind: "x" } });
      const b = await run({ labels: { shelf: "two", kind: "x" } });
      const c = await create({ labels: { shelf: "two" } });
      expect(await list({ shelf: "two" })).toEqual([b, c].sort());
      expect(await list({ shelf: "two", kind: "x" })).toEqual([b]);
      expect(await list({ shelf: "" })).toEqual([a, b, c].sort());
      expect(await list({ shelf: "three" })).toEqual([]);
    });

    test("events report start and death with exit code, labels and time, of the matching containers only", async () => {
      const since = new Date(Date.now() - 1);
      const seen = collect(
        subject.engine,
        { ...subject.labels, watch: "me" },
        since,
        (event) => event.action === "destroy",
      );
      await run({ labels: { watch: "others" } });
      const id = await run({ labels: { watch: "me" } });
      await subject.engine.killContainer(id, within());
      await subject.engine.removeContainer(id, within());
      const events = await seen;
      expect(events.map(({ action }) => action)).toEqual(["start", "kill", "die", "destroy"]);
      expect(events.every((event) => event.containerId === id && event.labels["watch"] === "me")).toBe(true);
      expect(events[1]?.signal).toBe(9);
      expect(events[2]?.exitCode).toBe(137);
      expect(events[0]?.at.getTime()).toBeGreaterThanOrEqual(since.getTime());
    });

    test("a subscription with since replays earlier events, each event once", async () => {
      const since = new Date(Date.now() - 1);
      const id = await run({ labels: { replay: "yes" } });
      await subject.engine.killContainer(id, within());
      await subject.engine.removeContainer(id, within());
      const replayed = () =>
        collect(
          subject.engine,
          { ...subject.labels, replay: "yes" },
          since,
          (event) => event.action === "destroy",
        );
      const first = await replayed();
      expect(first.map(({ action }) => action)).toEqual(["start", "kill", "die", "destroy"]);
      expect(await replayed()).toEqual(first);
    });

    test("an aborted subscription rejects with the signal's reason", async () => {
      const stop = new AbortController();
      const next = subject.engine.events(subject.labels, {}, stop.signal)[Symbol.asyncIterator]().next();
      stop.abort(new Error("enough"));
      await expect(next).rejects.toThrow("enough");
    });

    test("the exit code of a process is kept", async () => {
      const since = new Date(Date.now() - 1);
      const id = await subject.runEnding({ exitCode: 7 });
      const events = await collect(subject.engine, subject.labels, since, died(id));
      expect(events.findLast(died(id))?.exitCode).toBe(7);
      expect(await find(id)).toMatchObject({ phase: "exited", exitCode: 7, oomKilled: false });
    });

    test("a death for lack of memory causes an oom event and is kept in the state", async () => {
      const since = new Date(Date.now() - 1);
      const id = await subject.runEnding({ oom: true });
      const events = await collect(subject.engine, subject.labels, since, died(id));
      expect(new Set(events.filter((event) => event.containerId === id).map(({ action }) => action))).toEqual(
        new Set(["start", "oom", "die"]),
      );
      expect(await find(id)).toMatchObject({ phase: "exited", oomKilled: true });
    });

    test("an image is found by reference and id, listed by label, and not removed while it is in use", async () => {
      const { engine } = subject;
      const found = await engine.findImage(subject.image, within());
      expect(found?.tags).toContain(subject.image);
      expect((await engine.findImage(found?.id ?? "", within()))?.id).toBe(found?.id);
      expect((await engine.listImages(subject.labels, within())).map(({ id }) => id)).toContain(found?.id);
      expect(await engine.listImages({ ...subject.labels, no: "such" }, within())).toEqual([]);
      await engine.removeImage("no-such/image:here", within());
      const user = await create();
      await expect(engine.removeImage(found?.id ?? "", within())).rejects.toMatchObject({ code: "conflict" });
      await engine.removeContainer(user, within());
    });

    test("a commit creates an image with exactly the labels of its spec", async () => {
      const id = await create({ labels: { leftover: "yes" } });
      const reference = `${subject.name("made")}:1`;
      const spec = {
        reference,
        labels: { ...subject.labels, made: "yes" },
        env: {},
        command: [],
        workingDir: "/",
        user: "0:0",
      };
      const imageId = await subject.engine.commit(id, spec, within());
      const found = await subject.engine.findImage(reference, within());
      expect(found).toMatchObject({ id: imageId, tags: [reference] });
      expect(found?.labels).toEqual({ ...subject.labels, made: "yes" });
      const unlabelled = await subject.engine.listImages({ ...subject.labels, leftover: "" }, within());
      expect(unlabelled).toEqual([]);
    });

    test("an image lists its layers, and is removed by id only when no other image is based on it", async () => {
      const { engine } = subject;
      const made = { labels: subject.labels, env: {}, command: [], workingDir: "/", user: "0:0" };
      const commit = async (image: string, name: string) => {
        const id = await create({ image, name: subject.name(name) });
        const imageId = await engine.commit(id, { ...made, reference: `${subject.name(name)}:1` }, within());
        await engine.removeContainer(id, within());
        return imageId;
      };
      const below = await commit(subject.image, "below");
      const above = await commit(below, "above");
      const [lower, upper] = [
        await engine.findImage(below, within()),
        await engine.findImage(above, within()),
      ];
      expect(upper?.layers?.slice(0, lower?.layers?.length)).toEqual(lower?.layers);
      expect(lower?.layers?.length).toBeGreaterThan(0);
      await expect(engine.removeImage(below, within())).rejects.toMatchObject({ code: "conflict" });
      await engine.removeImage(above, within());
      await engine.removeImage(below, within());
      expect(await engine.findImage(below, within())).toBeUndefined();
    });

    test("an image is imported from an empty tar with exactly the labels given", async () => {
      const { engine, labels } = subject;
      const reference = `${subject.name("empty")}:1`;
      const named = { ...labels, said: 'with "quotes" and $signs' };
      const empty = Readable.from([Buffer.alloc(1024)]);
      const id = await engine.importImage({ reference, labels: named }, empty, within());
      expect(await engine.findImage(reference, within())).toMatchObject({ id, tags: [reference] });
      expect((await engine.findImage(id, within()))?.labels).toEqual(named);
    });

    test("an image that is saved by its id is loaded again under that id, without a name", async () => {
      const { engine, labels } = subject;
      const reference = `${subject.name("saved")}:1`;
      const id = await engine.importImage(
        { reference, labels },
        Readable.from([Buffer.alloc(1024)]),
        within(),
      );
      const tar = await buffer(await engine.saveImage(id, within()));
      await engine.removeImage(reference, within());
      expect(await engine.findImage(id, within())).toBeUndefined();
      await engine.loadImage(Readable.from([tar]), within());
      const loaded = await engine.findImage(id, within());
      expect(loaded).toMatchObject({ id, tags: [], labels });
      await engine.removeImage(id, within());
      await expect(engine.saveImage(id, within())).rejects.toMatchObject({ code: "not_found" });
    });

    test("a container that never ran returns the files of its mounts, and not_found for other paths", async () => {
      const folder = await mkdtemp(join(tmpdir(), "berth-mount-"));
      try {
        await writeFile(join(folder, "seen"), "by the Engine");
        const id = await create({ mounts: [{ hostPath: folder, path: "/mnt", readOnly: true }] });
        const tar = await buffer(await subject.engine.getArchive(id, "/mnt/seen", within()));
        expect(tar.includes("by the Engine")).toBe(true);
        const other = subject.engine.getArchive(id, "/mnt/unseen", within());
        await expect(other).rejects.toMatchObject({ code: "not_found" });
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    test("concurrent creates make one network, a different one of the same name is a conflict, and a second removal succeeds", async () => {
      const { engine, labels } = subject;
      const bridge = `bt${Math.random().toString(36).slice(2, 10)}`;
      const spec = { name: subject.name("net"), bridge, labels, betweenContainers: false };
      await Promise.all(Array.from({ length: 4 }, () => engine.ensureNetwork(spec, within())));
      await engine.ensureNetwork(spec, within());
      const other = engine.ensureNetwork({ ...spec, betweenContainers: true }, within());
      await expect(other).rejects.toMatchObject({ code: "conflict" });
      expect(await engine.listNetworks(labels, within())).toContain(spec.name);
      await engine.removeNetwork(spec.name, within());
      expect(await engine.listNetworks(labels, within())).not.toContain(spec.name);
      await engine.removeNetwork(spec.name, within());
    });

    test("a mark keeps the labels of its first creator until it is removed", async () => {
      const { engine, labels } = subject;
      const name = subject.name("mark");
      expect(await engine.listMarks(labels, within())).toEqual([]);
      const asked = ["a", "b", "c"].map((by) =>
        engine.ensureMark({ name, labels: { ...labels, by } }, within()),
      );
      const seen = await Promise.all(asked);
      expect(new Set(seen.map(({ by }) => by)).size).toBe(1);
      expect(await engine.listMarks(labels, within())).toEqual([{ name, labels: seen[0] }]);
      expect(await engine.listMarks({ ...labels, by: "nobody" }, within())).toEqual([]);
      await engine.removeMark(name, within());
      await engine.removeMark(name, within());
      expect(await engine.ensureMark({ name, labels: { ...labels, by: "d" } }, within())).toMatchObject({
        by: "d",
      });
      await engine.removeMark(name, within());
    });

    test("an aborted call rejects with the signal's reason", async () => {
      const reason = new Error("enough");
      await expect(subject.engine.findContainer("x", AbortSignal.abort(reason))).rejects.toBe(reason);
      await expect(subject.engine.createContainer(subject.spec(), AbortSignal.abort(reason))).rejects.toBe(
        reason,
      );
    });

    if (!processes) {
      test("exec without a defined process is refused", async () => {
        const id = await run();
        const spec = { command: ["true"], env: {}, workingDir: "/", user: "0:0" };
        const exec = subject.engine.exec(id, spec, { onOutput: () => undefined }, within());
        expect(isFault(await exec.catch((error: unknown) => error), "engine_refused")).toBe(true);
      });
    }
  });
}

function died(id: string): (event: EngineEvent) => boolean {
  return (event) => event.action === "die" && event.containerId === id;
}

/** Reads events up to and including the first one that fits. */
async function collect(
  engine: Engine,
  labels: Readonly<Record<string, string>>,
  since: Date,
  isLast: (event: EngineEvent) => boolean,
): Promise<readonly EngineEvent[]> {
  const events: EngineEvent[] = [];
  for await (const event of engine.events(labels, { since }, within())) {
    events.push(event);
    if (isLast(event)) return events;
  }
  return events;
}
