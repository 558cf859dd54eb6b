/** The Docker Engine ends under load, in good order and by SIGKILL: what it is asked for waits, and comes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ContainerState } from "../../src/domain/container.ts";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  accept,
  askTool,
  eventually,
  follow,
  install,
  packPlugin,
  packVersion,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import { startLoad } from "../harness/clients/load.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { makeOwnEngine, type OwnEngine } from "../harness/rigs/own-engine.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const PLUGIN_ID = "berth-tests/echo";

describe.each([{ liveRestore: true }, { liveRestore: false }])(
  "an engine with live-restore $liveRestore",
  ({ liveRestore }) => {
    const scope = new Scope();
    let own: OwnEngine;
    let site: Site;
    let berth: BerthProcess;
    let echo: AcceptedInstall;
    beforeAll(async () => {
      own = scope.use(await makeOwnEngine({ liveRestore }));
      site = scope.use(
        await openSite({
          env: { BERTH_ENGINE_SOCKET: own.socketPath, BERTH_EGRESS: "none" },
        }),
      );
      berth = await site.start();
      echo = await install(berth, await packPlugin("echo"));
    });
    afterAll(() => scope.close());

    const call = () => ({
      tenant: echo.tenant,
      pluginId: PLUGIN_ID,
      tool: "echo",
      parameters: { text: "aye" },
    });
    const containers = async (): Promise<readonly ContainerState[]> =>
      await own.engine.listContainers({ "berth.tenant": echo.tenant }, AbortSignal.timeout(60_000));
    const images = async () =>
      (await own.engine.listImages({ "berth.kind": "image" }, AbortSignal.timeout(60_000))).length;
    const answersAgain = () =>
      eventually(async () => {
        const answer = await askTool(berth, call());
        await answer.arrayBuffer();
        return answer.ok ? true : undefined;
      });

    test.each(["SIGTERM", "SIGKILL"] as const)(
      "that ends by %s: an accepted install is completed after its restart, and plugins answer again",
      async (signal) => {
        const [before] = await containers();
        const built = await images();
        const load = startLoad({
          urls: [berth.url],
          key: berth.adminKey,
          call: call(),
          perSecond: 5,
          expected: "aye",
        });
        await toolTexts(berth, call());
        await own.stop(signal);
        const plugin = await packVersion("echo", signal === "SIGTERM" ? "3.0.0" : "4.0.0");
        await upload(berth, plugin);
        const accepted = await accept(berth, plugin);
        await own.start();
        expect((await follow(berth, accepted)).at(-1)).toMatchObject({ state: "ready" });
        await answersAgain();
        await load.stop();
        expect(await images()).toBe(built + 1);
        const after = await containers();
        expect(after).toMatchObject([{ phase: "running" }]);
        if (liveRestore) {
          // The plugin ran on, and Berth's link to it does not pass through the engine.
          expect(load.failures).toEqual([]);
          expect(after[0]?.id).toBe(before?.id);
        }
      },
    );
  },
);
