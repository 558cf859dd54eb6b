import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BuildRig, openBuildRig } from "../harness/rigs/build.ts";
import { startWheelIndex, type TestWheel } from "../harness/servers/wheel-index.ts";

const SPY: TestWheel = {
  name: "spy",
  version: "1.0",
  files: {
    "spy.py": "VALUE = 7\n",
    // Runs at any start of a Python of the environment, and leaves a mark wherever it can.
    "spy.pth": `import os; [open(f + "/SPIED", "w").write("x") for f in ("/cache", "/opt", "/opt/venv", "/plugin", "/tmp") if os.access(f, os.W_OK)]; print("SPIED")\n`,
  },
};
/** Nothing is reached through it. */
const PROXIES = { http: undefined, https: "http://u:a-proxy-password@proxy.example:1", bypass: "" };
const PLAIN: TestWheel = { name: "plain", version: "1.0", files: { "plain.py": "VALUE = 8\n" } };

let rig: BuildRig;
beforeAll(async () => {
  rig = await openBuildRig();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

async function buildContainers(): Promise<readonly string[]> {
  const left = await rig.engine.listContainers(
    { "berth.instance": rig.instanceId },
    AbortSignal.timeout(10_000),
  );
  return left.map(({ name }) => name);
}

describe("an image", () => {
  test("holds the package and its wheel with byte code, root-owned and readable by anybody", async () => {
    await using index = await startWheelIndex([PLAIN]);
    const image = await rig.build({
      requirements: "plain==1.0\n",
      files: { "main.py": "import plain; print(plain.VALUE, __cached__)\n", "pkg/__init__.py": "" },
      settings: { index: { ...rig.settings.index, url: index.url } },
    });
    const ran = await rig.runIn(image.imageRef, [
      "/bin/sh",
      "-c",
      "cd /plugin && /opt/venv/bin/python -m main; /opt/venv/bin/python -c 'import audioop; print(audioop.__file__)'; ls -ln /plugin/main.py; find /plugin /opt/venv/lib -name '*.pyc' | sort; find /plugin /opt ! -user 0",
    ]);
    expect(ran).toContain("8 /plugin/__pycache__/main.cpython-313.pyc");
    // Its Python dropped it, and the runtime image has it.
    expect(ran).toContain("/usr/lib/python3.13/audioop/__init__.py");
    expect(ran).toMatch(/-rw-r--r-- 1 0 0/);
    expect(ran).toContain("/opt/venv/lib/python3.13/site-packages/__pycache__/plain.cpython-313.pyc");
    expect(ran).not.toMatch(/^\/(plugin|opt)\S*$(?<!\.pyc)/m);
    expect(await buildContainers()).toEqual([]);
  });

  test("of a package without dependencies is built without a network", async () => {
    const image = await rig.build({ settings: { network: "there-is-no-such-network" } });
    expect(image.built).toBe(true);
    expect(await rig.runIn(image.imageRef, ["/opt/venv/bin/python", "/plugin/main.py"])).toBe("here");
  });

  test("is built once for ten concurrent requests and never again", async () => {
    const checksum = "ten".padEnd(64, "0");
    const asked = await Promise.all(Array.from({ length: 10 }, () => rig.build({ checksum })));
    expect(asked.filter(({ built }) => built)).toHaveLength(1);
    expect(new Set(asked.map(({ imageRef }) => imageRef)).size).toBe(1);
    expect((await rig.build({ checksum })).built).toBe(false);
  });

  test("that is missing from the engine is built again", async () => {
    const checksum = "lost".padEnd(64, "0");
    const { imageRef } = await rig.build({ checksum });
    await rig.engine.removeImage(imageRef, AbortSignal.timeout(10_000));
    expect(await rig.build({ checksum })).toMatchObject({ imageRef, built: true });
  });

  test("of a new version with the same dependencies adds only its files", async () => {
    await using index = await startWheelIndex([PLAIN]);
    const settings = { index: { ...rig.settings.index, url: index.url } };
    await rig.build({ requirements: "plain\n", settings });
    const asked = index.requests.length;
    const from = rig.lines.length;
    await rig.build({ requirements: "plain\n", settings, files: { "main.py": "print(2)\n" } });
    expect(rig.lines.slice(from)).toContain("the dependencies were there already");
    expect(index.requests).toHaveLength(asked);
  });
});

test("an SDK that reads its input in small pieces receives a line of 4 MB as a whole", async () => {
  const sdk: TestWheel = {
    name: "dify_plugin",
    version: "0.1.0",
    files: {
      "dify_plugin/core/server/stdio/request_reader.py": `import sys
from gevent.os import tp_read


def pieces():
    while piece := tp_read(sys.stdin.fileno(), 512):
        yield piece
`,
    },
  };
  const gevent = {
    name: "gevent",
    version: "1.0",
    files: { "gevent/os.py": "from os import read as tp_read\n" },
  };
  await using index = await startWheelIndex([sdk, gevent]);
  const image = await rig.build({
    requirements: "dify_plugin\ngevent\n",
    files: {
      "feed.py": `import os
def put(data):
    while data: data = data[os.write(1, data):]
put(b"x" * 4_000_000 + b"\\xc3")
put(b"\\xa9\\nhalf")
`,
      "main.py": `from dify_plugin.core.server.stdio.request_reader import pieces
for piece in pieces(): print(len(piece), piece[-5:])
`,
    },
    settings: { index: { ...rig.settings.index, url: index.url } },
  });
  const python = "/opt/venv/bin/python";
  const command = `cd /plugin && ${python} feed.py | ${python} -m main`;
  const ran = await rig.runIn(image.imageRef, ["/bin/sh", "-c", command]);
  expect(ran.split("\n")).toEqual(["4000003 b'xx\\xc3\\xa9\\n'", "4 b'half'"]);
});

test("a build runs no .pth file of a wheel and leaves no trace of the index password", async () => {
  await using index = await startWheelIndex([SPY]);
  const from = rig.lines.length;
  const image = await rig.build({
    requirements: "spy==1.0\n",
    settings: { index: { ...rig.settings.index, url: index.url, proxies: PROXIES } },
  });
  const found = await rig.runIn(image.imageRef, [
    "/bin/sh",
    "-c",
    "find / -name SPIED 2>/dev/null; echo end",
  ]);
  expect(found).toBe("end");
  expect(await readdir(rig.settings.cacheFolder)).not.toContain("SPIED");
  // The spy does run when a plugin's own Python starts: the test would see it.
  expect(await rig.runIn(image.imageRef, ["/opt/venv/bin/python", "-c", "pass"])).toContain("SPIED");

  const { execFileSync } = await import("node:child_process");
  for (const command of ["inspect", "history"]) {
    const text = execFileSync("docker", [
      command,
      ...(command === "history" ? ["--no-trunc"] : []),
      image.imageRef,
    ]);
    expect(text.toString()).not.toContain(index.password);
    expect(text.toString()).not.toMatch(/NO_PROXY|a-proxy-password/);
  }
  expect(rig.lines.slice(from).join("\n")).not.toContain(index.password);
  const inside = await rig.runIn(image.imageRef, [
    "/bin/sh",
    "-c",
    `grep -rl '${index.password}' /opt /plugin /etc /root /tmp 2>/dev/null; env; echo end`,
  ]);
  expect(inside).not.toContain(index.password);
  expect(inside.trimEnd().endsWith("end")).toBe(true);
});

describe("a build fails with", () => {
  test("dependency_unresolvable, naming a requirement that does not exist", async () => {
    await using index = await startWheelIndex([PLAIN]);
    const settings = { index: { ...rig.settings.index, url: index.url } };
    await expect(rig.build({ requirements: "no-such-thing==3.1\n", settings })).rejects.toMatchObject({
      code: "dependency_unresolvable",
      details: { value: expect.stringContaining("no-such-thing") },
    });
    await expect(rig.build({ requirements: "plain==9\n", settings })).rejects.toMatchObject({
      code: "dependency_unresolvable",
      details: { value: expect.stringContaining("plain==9") },
    });
    expect(await buildContainers()).toEqual([]);
  });

  test("index_unreachable, without the password, if the index does not answer", async () => {
    const url = "http://berth:very-secret@127.0.0.1:9/simple";
    const error: unknown = await rig
      .build({ requirements: "plain>=0.1\n", settings: { index: { ...rig.settings.index, url } } })
      .catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: "index_unreachable" });
    expect(JSON.stringify(error)).not.toContain("very-secret");
  });

  test("build_out_of_memory if the kernel kills it for lack of memory", async () => {
    await using index = await startWheelIndex([PLAIN]);
    const limits = { ...rig.settings.limits, memoryBytes: 8 << 20 };
    const settings = { limits, index: { ...rig.settings.index, url: index.url } };
    await expect(rig.build({ requirements: "plain>=0.2\n", settings })).rejects.toMatchObject({
      code: "build_out_of_memory",
    });
    expect(await buildContainers()).toEqual([]);
  });

  test("build_no_progress if a download stalls", async () => {
    await using index = await startWheelIndex([{ ...PLAIN, name: "stalled" }], { stallDownloads: true });
    const limits = { ...rig.settings.limits, noProgressMs: 3_000 };
    const settings = { limits, index: { ...rig.settings.index, url: index.url } };
    await expect(rig.build({ requirements: "stalled\n", settings })).rejects.toMatchObject({
      code: "build_no_progress",
    });
    expect(await buildContainers()).toEqual([]);
  });

  test("build_timeout once its total time is over", async () => {
    await using index = await startWheelIndex([{ ...PLAIN, name: "stalled" }], { stallDownloads: true });
    const limits = { ...rig.settings.limits, totalMs: 2_000 };
    const settings = { limits, index: { ...rig.settings.index, url: index.url } };
    await expect(rig.build({ requirements: "stalled>=1\n", settings })).rejects.toMatchObject({
      code: "build_timeout",
    });
    expect(await buildContainers()).toEqual([]);
  });
});

test("a build that is killed leaves no container, and the next build creates the image", async () => {
  await using index = await startWheelIndex([PLAIN]);
  const settings = { index: { ...rig.settings.index, url: index.url } };
  const input = { checksum: "killed".padEnd(64, "0"), requirements: "plain>=1\n", settings };
  const killed = new AbortController();
  const building = rig.build(input, killed.signal).catch((error: unknown) => error);
  await expect.poll(() => index.requests.length, { timeout: 20_000, interval: 20 }).toBeGreaterThan(0);
  const reason = new Error("killed");
  killed.abort(reason);
  expect(await building).toBe(reason);
  expect(await buildContainers()).toEqual([]);
  expect((await rig.build(input)).built).toBe(true);
});
