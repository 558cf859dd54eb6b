import { expect, it } from "vitest";
import { partialRows } from "../../test/harness/doubles/partial-rows.ts";
import { InstallationId, TenantId } from "../domain/ids.ts";
import type { Installation } from "../domain/installation.ts";
import type { Installed } from "../store/contracts/installed.ts";
import type { Store } from "../store/store.ts";
import { findTools } from "./find-tools.ts";

const TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001");
const TOOLS = [{ identity: { name: "now" } }, { identity: { name: "later" } }];
const CLOCK = { identity: { name: "hands" }, tools: TOOLS };
const CAUSE = { code: "build_failed", message: "It did not build." } as const;

/** Plugins of the one tenant, by their id: what they declare, and how often they became ready. */
const PLUGINS: Readonly<Record<string, { declaration: object; generation?: number; cause?: typeof CAUSE }>> =
  {
    "acme/clock": { declaration: { tool: CLOCK } },
    "acme/hands": { declaration: { tool: { ...CLOCK, identity: { name: "acme" } } } },
    "acme/parrot": { declaration: { model: { provider: "parrot" } } },
    "acme/broken": { declaration: { tool: CLOCK }, generation: 0, cause: CAUSE },
  };
const NAMES = ["acme/clock/hands", "acme/hands/acme"];

function find(provider: string) {
  const store = {
    installations: partialRows<Store["installations"]>("installations", {
      findByPlugin: async (tenantId, pluginId) =>
        tenantId === TENANT && pluginId in PLUGINS ? installation(pluginId) : undefined,
    }),
    installed: partialRows<Store["installed"]>("installed", {
      find: async () => installed(provider.split("/").slice(0, 2).join("/")),
      providerNames: async (tenantId) => (tenantId === TENANT ? NAMES : []),
    }),
  };
  return findTools({ store }, TENANT, provider);
}

function installation(pluginId: string): Installation {
  const { generation = 1, cause } = PLUGINS[pluginId] ?? {};
  const id = InstallationId.parse("6f1a1c1e-0000-4000-8000-00000000000a");
  const state = generation === 0 ? "failed" : "ready";
  return { id, pluginId, state, cause, generation } as unknown as Installation;
}

function installed(pluginId: string): Installed {
  const { declaration = {} } = PLUGINS[pluginId] ?? {};
  return {
    installation: installation(pluginId),
    category: "tool",
    status: "running",
    declaration: { ...declaration },
  };
}

it("a full name finds its provider's tools, in the order of the declaration", async () => {
  expect(await find("acme/clock/hands")).toMatchObject({ tools: TOOLS, status: "running" });
});

it.each([
  ["acme/clock", ["acme/clock/hands"]],
  ["clock/hands", ["acme/clock/hands"]],
  ["clock", ["acme/clock/hands"]],
  ["hands", NAMES],
  ["acme", NAMES],
])("the partial name %s is refused with the form and the matching full names", async (provider, accepted) => {
  await expect(find(provider)).rejects.toMatchObject({
    code: "invalid_input",
    message: `provider is "${provider}"; accepted: organisation/plugin/provider, here ${accepted.join(", ")}.`,
    details: { field: "provider", value: provider, accepted, form: "organisation/plugin/provider" },
  });
});

it.each(["", "nobody", "acme/parrot", "a/b/c/d", "acme/clock/", "/clock/hands", "Acme/Clock/hands"])(
  "%j, which matches nothing, is refused with the form",
  async (provider) => {
    await expect(find(provider)).rejects.toMatchObject({
      code: "invalid_input",
      details: { field: "provider", value: provider, accepted: "organisation/plugin/provider" },
    });
  },
);

it("a full name that finds no tools is refused with the reason: no plugin, no provider, no tools, or never ready", async () => {
  await expect(find("acme/gone/hands")).rejects.toMatchObject({ code: "installation_not_found" });
  await expect(find("acme/clock/clock")).rejects.toMatchObject({
    code: "provider_not_found",
    details: { accepted: ["acme/clock/hands"] },
  });
  await expect(find("acme/parrot/parrot")).rejects.toMatchObject({
    code: "provider_not_found",
    message: "There is no tool provider acme/parrot/parrot; acme/parrot offers no tools.",
  });
  await expect(find("acme/broken/hands")).rejects.toMatchObject({
    code: "plugin_not_ready",
    details: { state: "failed", cause: CAUSE },
  });
});
