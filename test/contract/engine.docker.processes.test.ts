/** Processes, files, images and logs of real containers. */
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { extract, pack } from "tar-stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommitSpec, ExecSpec, LogChunk } from "../../src/engine/engine.ts";
import { openTestEngine, type TestEngine, within } from "../harness/rigs/test-engine.ts";

let t: TestEngine;
beforeAll(async () => {
  t = await openTestEngine();
});
afterAll(async () => {
  await t[Symbol.asyncDispose]();
});

const PASSWORD = "hunter2-in-the-index-url";

function sh(line: string, more: Partial<ExecSpec> = {}): ExecSpec {
  return { command: ["/bin/sh", "-c", line], env: {}, workingDir: "/", user: "0:0", ...more };
}

async function raw(path: string): Promise<string> {
  const { body } = await t.client.call({ method: "GET", path }, within());
  return JSON.stringify(body);
}

describe("exec", () => {
  test("both output streams arrive separately, and the exit code is that of the process", async () => {
    const id = await t.run();
    const out = { stdout: "", stderr: "" };
    const onOutput = (chunk: Buffer, stream: "stdout" | "stderr") => {
      out[stream] += chunk.toString("utf8");
    };
    const { exitCode } = await t.engine.exec(
      id,
      sh("echo out; echo err >&2; exit 3"),
      { onOutput },
      within(),
    );
    expect({ ...out, exitCode }).toEqual({ stdout: "out\n", stderr: "err\n", exitCode: 3 });
  });

  test("output arrives before the process ends", async () => {
    const id = await t.run();
    const first = Promise.withResolvers<string>();
    const onOutput = (chunk: Buffer) => first.resolve(chunk.toString("utf8"));
    const line = "echo ready; until [ -e /go ]; do usleep 20000; done";
    const running = t.engine.exec(id, sh(line), { onOutput }, within());
    expect(await first.promise).toBe("ready\n");
    await t.shell(id, "touch /go");
    expect(await running).toEqual({ exitCode: 0 });
  });

  test("20 MB of output arrive whole", async () => {
    const id = await t.run();
    let bytes = 0;
    const onOutput = (chunk: Buffer) => {
      bytes += chunk.length;
    };
    await t.engine.exec(id, sh("head -c 20971520 /dev/zero"), { onOutput }, within());
    expect(bytes).toBe(20_971_520);
  });

  test("user, folder and environment are those of the spec, and no inspect answer shows the environment", async () => {
    const id = await t.run();
    const spec = sh("id -u; id -g; pwd; echo $INDEX", {
      user: "4000:5000",
      workingDir: "/etc",
      env: { INDEX: PASSWORD, PATH: "/bin" },
    });
    let out = "";
    const onOutput = (chunk: Buffer) => {
      out += chunk.toString("utf8");
    };
    await t.engine.exec(id, spec, { onOutput }, within());
    expect(out).toBe(`4000\n5000\n/etc\n${PASSWORD}\n`);
    expect(await raw(`/containers/${id}/json`)).not.toContain(PASSWORD);
  });

  test("an abort kills the container and rejects with the signal's reason", async () => {
    const id = await t.run();
    const stop = new AbortController();
    const onOutput = () => stop.abort(new Error("cancelled by a test"));
    const running = t.engine.exec(id, sh("echo go; sleep 600"), { onOutput }, stop.signal);
    await expect(running).rejects.toThrow("cancelled by a test");
    expect(await t.engine.findContainer(id, within())).toMatchObject({ phase: "exited", exitCode: 137 });
  });

  test("a stopped container refuses with conflict, and an unknown container with not_found", async () => {
    const id = await t.engine.createContainer(t.spec(), within());
    const options = { onOutput: () => undefined };
    await expect(t.engine.exec(id, sh("true"), options, within())).rejects.toMatchObject({
      code: "conflict",
    });
    const nobody = t.engine.exec(t.name("nobody"), sh("true"), options, within());
    await expect(nobody).rejects.toMatchObject({ code: "not_found" });
  });

  test("a process killed from outside ends the exec with its code, and the container keeps running", async () => {
    const id = await t.run();
    const pid = Promise.withResolvers<string>();
    const onOutput = (chunk: Buffer) => pid.resolve(chunk.toString("utf8").trim());
    const running = t.engine.exec(id, sh("echo $$; exec sleep 600"), { onOutput }, within());
    await t.shell(id, `kill -9 ${await pid.promise}`);
    expect((await running).exitCode).toBe(137);
    expect(await t.engine.findContainer(id, within())).toMatchObject({ phase: "running" });
  });
});

test("a container that is killed during an exec ends the exec", async () => {
  const id = await t.run();
  const started = Promise.withResolvers<void>();
  const spec = sh("echo go; sleep 600");
  const running = t.engine.exec(id, spec, { onOutput: () => started.resolve() }, within());
  await started.promise;
  const [outcome] = await Promise.allSettled([running, t.engine.killContainer(id, within())]);
  if (outcome.status === "fulfilled") expect(outcome.value.exitCode).toBe(137);
  else expect(outcome.reason).toMatchObject({ code: "conflict" });
});

describe("archives", () => {
  test("a tar stream is unpacked with its owners and modes, and reads back the same", async () => {
    const id = await t.run();
    const tar = pack();
    tar.entry({ name: "in/", type: "directory", mode: 0o755, uid: 7, gid: 8 });
    tar.entry({ name: "in/file.txt", mode: 0o640, uid: 7, gid: 8 }, "héllo");
    tar.finalize();
    await t.engine.putArchive(id, "/data", Readable.from(tar), within());
    expect(await t.shell(id, "stat -c '%a %u %g %s' /data/in/file.txt")).toBe("640 7 8 6");
    const reader = extract();
    const source = await t.engine.getArchive(id, "/data/in/file.txt", within());
    source.pipe(reader);
    for await (const entry of reader) {
      expect([entry.header.uid, entry.header.gid, (entry.header.mode ?? 0) & 0o7777]).toEqual([7, 8, 0o640]);
      expect((await buffer(entry)).toString("utf8")).toBe("héllo");
    }
  });

  test("a tar stream that breaks fails the call with its own error", async () => {
    const id = await t.engine.createContainer(t.spec(), within());
    const broken = new Readable({
      read() {
        this.destroy(new Error("the disk went away"));
      },
    });
    await expect(t.engine.putArchive(id, "/data", broken, within())).rejects.toThrow("the disk went away");
  });

  test("an unknown path is not_found, and a relative path is refused", async () => {
    const id = await t.engine.createContainer(t.spec(), within());
    const source = Readable.from([Buffer.alloc(1_024)]);
    await expect(t.engine.getArchive(id, "/no/such", within())).rejects.toMatchObject({ code: "not_found" });
    await expect(t.engine.putArchive(id, "/no/such", source, within())).rejects.toMatchObject({
      code: "not_found",
    });
    expect(source.destroyed).toBe(true);
    await expect(t.engine.getArchive(id, "data", within())).rejects.toMatchObject({ code: "invalid_input" });
  });
});

describe("commit", () => {
  const spec = (reference: string, more: Partial<CommitSpec> = {}): CommitSpec => ({
    reference,
    labels: t.labels,
    env: { PATH: "/bin", MADE: "here" },
    command: ["/bin/sh", "-c", "env; pwd; id -u; cat /data/made"],
    workingDir: "/data",
    user: "1234:1234",
    ...more,
  });

  test("environment, command, folder and user are replaced, files stay, and no secret of an exec remains", async () => {
    const id = await t.run({ env: { PATH: "/bin", BUILD_ONLY: "leftover", HTTP_PROXY: "http://proxy" } });
    const run = sh("echo made > /data/made; test $INDEX", { env: { INDEX: PASSWORD, PATH: "/bin" } });
    expect(await t.engine.exec(id, run, { onOutput: () => undefined }, within())).toEqual({ exitCode: 0 });
    const reference = `${t.name("image")}:v1`;
    const imageId = await t.engine.commit(id, spec(reference), within());
    expect(imageId).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await raw(`/images/${reference}/json`)).not.toContain(PASSWORD);
    expect(await raw(`/images/${reference}/history`)).not.toContain(PASSWORD);
    const config = JSON.stringify(await configOf(reference));
    expect(config).not.toContain("leftover");
    expect(config).not.toContain("proxy");
    expect(await configOf(reference)).toMatchObject({
      Cmd: ["/bin/sh", "-c", "env; pwd; id -u; cat /data/made"],
      WorkingDir: "/data",
      User: "1234:1234",
    });
    const made = await t.run({ image: reference, command: ["/bin/sleep", "600"], workingDir: "/data" });
    const env = await t.shell(made, "cat /data/made; env");
    expect(env).toContain("made");
    for (const gone of ["BUILD_ONLY", "HTTP_PROXY", "FROM_IMAGE", "MADE"]) expect(env).not.toContain(gone);
  });

  test("the image's own entry point, environment and labels do not reach a container", async () => {
    const id = await t.run({ env: { PATH: "/bin", OWN: "yes" }, labels: { own: "yes" } });
    expect(await t.shell(id, "tr '\\0' '\\n' < /proc/1/environ 2>/dev/null || env")).not.toContain(
      "FROM_IMAGE",
    );
    expect((await t.engine.findContainer(id, within()))?.labels).toEqual({ ...t.labels, own: "yes" });
  });

  test("a wrong reference is refused as invalid_input", async () => {
    const id = await t.engine.createContainer(t.spec(), within());
    for (const reference of ["NoCapitals:1", "no-tag", "../escape:1", "a b:1"]) {
      await expect(t.engine.commit(id, spec(reference), within())).rejects.toMatchObject({
        code: "invalid_input",
      });
    }
  });

  async function configOf(reference: string): Promise<Record<string, unknown>> {
    const { body } = await t.client.call({ method: "GET", path: `/images/${reference}/json` }, within());
    return Object(Object(body)["Config"]);
  }
});

describe("logs", () => {
  async function logs(id: string, options: { since?: Date; tail?: number } = {}): Promise<LogChunk[]> {
    return await Array.fromAsync(t.engine.logs(id, { follow: false, ...options }, within()));
  }

  test("lines of both streams come in order with their times, and long and multi-byte lines stay whole", async () => {
    const long = "é".repeat(20_000);
    const id = await t.run({
      command: [
        "/bin/sh",
        "-c",
        'echo one; usleep 50000; echo two >&2; usleep 50000; echo "x$LONG"; printf end',
      ],
      env: { PATH: "/bin", LONG: long },
    });
    expect(await t.waitForEnd(id)).toBe(0);
    const lines = await logs(id);
    expect(lines.map(({ stream, text }) => [stream, text])).toEqual([
      ["stdout", "one"],
      ["stderr", "two"],
      ["stdout", `x${long}`],
      ["stdout", "end"],
    ]);
    const times = lines.map(({ at }) => at.getTime());
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  test("lines around the size at which the engine splits them stay separate and whole", async () => {
    const sizes = [16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 5];
    const line = sizes.map((size) => `head -c ${size} /dev/zero | tr '\\0' a; echo`).join("; ");
    const id = await t.run({ command: ["/bin/sh", "-c", line] });
    expect(await t.waitForEnd(id)).toBe(0);
    expect((await logs(id)).map(({ text }) => text.length)).toEqual(sizes);
  });

  test("tail returns the last lines, and since the lines from that time on", async () => {
    const id = await t.run({
      command: ["/bin/sh", "-c", "for i in 1 2 3 4 5; do echo $i; usleep 20000; done"],
    });
    await t.waitForEnd(id);
    expect((await logs(id, { tail: 2 })).map(({ text }) => text)).toEqual(["4", "5"]);
    const [, , third] = await logs(id);
    expect(third?.text).toBe("3");
    expect((await logs(id, { since: third?.at ?? new Date() })).map(({ text }) => text)).toEqual([
      "3",
      "4",
      "5",
    ]);
  });

  test("follow returns lines as they are written and ends with the container", async () => {
    const line = "echo first; until [ -e /go ]; do usleep 20000; done; echo last";
    const id = await t.run({ command: ["/bin/sh", "-c", line] });
    const seen: string[] = [];
    for await (const { text } of t.engine.logs(id, { follow: true }, within())) {
      seen.push(text);
      if (text === "first") await t.shell(id, "touch /go");
    }
    expect(seen).toEqual(["first", "last"]);
  });

  test("a follower that falls behind a container's end still gets every line once", async () => {
    const line =
      "seq 1 150000 | awk '{print $1, \"a line of about sixty bytes, as a plugin would write one\"}'";
    const log = { bytesMax: 64 << 20, files: 3 };
    const id = await t.run({ command: ["/bin/sh", "-c", line], log });
    const numbers: number[] = [];
    for await (const { text } of t.engine.logs(id, { follow: true }, within()))
      numbers.push(Number.parseInt(text, 10));
    expect(numbers).toEqual(Array.from({ length: 150_000 }, (_, index) => index + 1));
  });

  test("an aborted follow rejects with the signal's reason", async () => {
    const id = await t.run({ command: ["/bin/sh", "-c", "echo first; sleep 600"] });
    const stop = new AbortController();
    const follow = async () => {
      for await (const _line of t.engine.logs(id, { follow: true }, stop.signal))
        stop.abort(new Error("enough"));
    };
    await expect(follow()).rejects.toThrow("enough");
  });

  test("a log that fills its files many times keeps the newest lines, at least one file of them", async () => {
    const log = { bytesMax: 64 << 10, files: 3 };
    const id = await t.run({ command: ["/bin/seq", "1", "60000"], log });
    await t.waitForEnd(id);
    const lines = await logs(id);
    const numbers = lines.map(({ text }) => Number(text));
    expect(numbers.at(-1)).toBe(60_000);
    expect(numbers.length).toBeGreaterThan(2_000);
    expect(numbers.length).toBeLessThan(60_000);
    const first = numbers[0] ?? 0;
    expect(numbers).toEqual(numbers.map((_, index) => first + index));
  });

  test("the log of an unknown container is not_found", async () => {
    await expect(logs(t.name("nobody"))).rejects.toMatchObject({ code: "not_found" });
  });
});
