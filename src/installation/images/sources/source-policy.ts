/**
 * Whether a tenant may run what was built from source. Tenants share images, so a label of an image says which of its
 * requirements were, and each task decides for its tenant, whether the image is there already or not.
 */
import { Fault } from "../../../domain/fault.ts";
import type { TenantId } from "../../../domain/ids.ts";
import { quotasInForce, type SourceBuilds } from "../../../domain/tenant-quotas.ts";
import type { Engine } from "../../../engine/engine.ts";
import type { Store } from "../../../store/store.ts";

const LABEL = "berth.sources";
const LABEL_CHARACTERS_MAX = 500;

/** Of an image with these requirements built from source. */
export function sourcesLabel(sources: readonly string[]): Readonly<Record<string, string>> {
  if (sources.length === 0) return {};
  return { [LABEL]: sources.join(", ").slice(0, LABEL_CHARACTERS_MAX) };
}

/** The label of an image, for one that is made of it. */
export async function sourcesLabelOf(
  engine: Pick<Engine, "findImage">,
  imageRef: string,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const sources = (await engine.findImage(imageRef, signal))?.labels[LABEL] ?? "";
  return sources === "" ? {} : { [LABEL]: sources };
}

/** The tenant's own policy, else the operator's setting. */
export async function sourceBuildsOf(
  { tenants }: Pick<Store, "tenants">,
  tenantId: TenantId,
): Promise<SourceBuilds> {
  const { quotas } = await tenants.quotas(tenantId);
  return quotasInForce(quotas, tenants.defaultQuotas).sourceBuilds ?? "allow";
}

/** Throws `source_build_refused` for an image with requirements that were built from source. */
export async function refuseBuiltFromSource(
  engine: Pick<Engine, "findImage">,
  imageRef: string,
  signal: AbortSignal,
): Promise<void> {
  const sources = (await sourcesLabelOf(engine, imageRef, signal))[LABEL];
  if (sources === undefined) return;
  throw new Fault(
    "source_build_refused",
    `The package's image has requirements that were built from source (${sources}), which ${SOURCES_REFUSED} forbids.`,
    { details: { field: "dependencies", value: sources, accepted: "requirements with a fitting wheel" } },
  );
}

/** How errors name the policy: the setting, or the same for one tenant. */
export const SOURCES_REFUSED = "BERTH_SOURCE_BUILDS=refuse, or the tenant's source_builds,";
