import type { FaultJson } from "../../../domain/fault.ts";
import { formatFault, toFault } from "../../../domain/fault.ts";
import type { Installation } from "../../../domain/installation.ts";
import type { Store } from "../../../store/store.ts";
import type { EndedRuntime } from "../../launch/exit-cause.ts";

const PAGE = 200;

/** The public reason why a pool backs off or is in a crash loop: the last end with its last log lines. */
export function causeOf(
  failure: EndedRuntime | unknown,
  extra: Readonly<Record<string, unknown>> = {},
): FaultJson {
  if (isEnded(failure)) {
    const { end, logs } = failure;
    return {
      code: end.reason === "unhealthy" ? "plugin_unhealthy" : "plugin_crashed",
      message: end.message ?? "The plugin ended.",
      details: {
        reason: end.reason,
        exitCode: end.exitCode ?? null,
        oom: end.oom === true,
        logs,
        ...extra,
      },
    };
  }
  const fault = formatFault(toFault(failure));
  return { ...fault, details: { ...fault.details, ...extra } };
}

function isEnded(failure: unknown): failure is EndedRuntime {
  return typeof failure === "object" && failure !== null && "end" in failure && "logs" in failure;
}

/** Copies the pool's crash loop, or its end, to the installations that it serves. */
export async function markInstallations(
  { installations }: Pick<Store, "installations">,
  poolKey: string,
  to: { readonly state: "crash_loop" | "ready"; readonly cause: FaultJson | undefined },
): Promise<void> {
  const from = to.state === "ready" ? "crash_loop" : "ready";
  for await (const installation of installationsOf({ installations }, poolKey)) {
    if (installation.state === from) await installations.setState(installation.id, to.state, to.cause);
  }
}

/** Whether any installation uses the pool, apart from installs in progress. */
export async function servesAnybody(
  { installations }: Pick<Store, "installations">,
  poolKey: string,
): Promise<boolean> {
  for await (const { state } of installationsOf({ installations }, poolKey)) {
    if (state === "ready" || state === "crash_loop") return true;
  }
  return false;
}

async function* installationsOf(
  { installations }: Pick<Store, "installations">,
  poolKey: string,
): AsyncGenerator<Installation, void, undefined> {
  let cursor: string | undefined;
  do {
    const page = await installations.list(
      { poolKey },
      { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) },
    );
    yield* page.items;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}
