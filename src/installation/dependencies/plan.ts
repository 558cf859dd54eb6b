/**
 * Plans what to install for a package or a bundle: its dependencies and theirs, to the end. One version of a plugin
 * serves all that need it; where the first choice does not fit a later need, the plan is made again with both in mind.
 * Planning only reads, so it may be repeated.
 */
import type { Installation } from "../../domain/installation.ts";
import { fits, formatNeed, type PluginNeed } from "../../domain/plugin-need.ts";
import type { Source } from "../../domain/source.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import {
  type CandidateScope,
  findInstalled,
  findPackages,
  isFitting,
  ofInstallation,
  sourceOf,
} from "./candidates.ts";
import { type Conflict, circular, conflicting, type Missing, missing } from "./refusals.ts";

export interface PlanRequest extends CandidateScope {
  /** What has the needs: its name in messages, and its plugin id where it is a plugin. */
  readonly root: {
    readonly name: string;
    readonly pluginId?: string;
    readonly needs: readonly PluginNeed[];
  };
  /** Identifiers by plugin id that the parent task has chosen. */
  readonly chosen: Readonly<Record<string, string>>;
}

export type Choice =
  | { readonly kind: "installed"; readonly installation: Installation }
  /** It is being uninstalled: the choice is made again after that. */
  | { readonly kind: "removing"; readonly installation: Installation }
  | { readonly kind: "package"; readonly pkg: StoredPackage }
  | { readonly kind: "source"; readonly source: Source };

export interface Plan {
  /** The root's own needs, in its order; their tasks install what these need in turn. */
  readonly direct: readonly { readonly need: PluginNeed; readonly choice: Choice }[];
  /** What was chosen for each plugin that is to be installed, for the tasks below. */
  readonly chosen: Readonly<Record<string, string>>;
}

/** Throws `dependency_missing` with every missing plugin, `dependency_conflict`, `dependency_cycle`. */
export async function planNeeds(request: PlanRequest): Promise<Plan> {
  const known = new Map<string, Asked[]>();
  for (let rounds = 0; rounds < ROUNDS_MAX; rounds += 1) {
    const round = new Round(request, known);
    const plan = await round.walk();
    if (!round.isOutdated) return plan;
  }
  throw new Error(`the dependency plan did not settle in ${ROUNDS_MAX} rounds`);
}

/** Each round but the last adds a need to some plugin; any set of plugins has far fewer. */
const ROUNDS_MAX = 1000;

interface Asked {
  readonly need: PluginNeed;
  readonly by: string;
}

class Round {
  readonly #request: PlanRequest;
  /** All needs of a plugin that this round or an earlier one met. */
  readonly #known: Map<string, Asked[]>;
  readonly #chosen = new Map<string, StoredPackage>();
  readonly #done = new Set<string>();
  readonly #missing: Missing[] = [];
  readonly #conflicts: Conflict[] = [];
  /** A choice of this round does not fit all needs that were met after it. */
  isOutdated = false;

  constructor(request: PlanRequest, known: Map<string, Asked[]>) {
    this.#request = request;
    this.#known = known;
  }

  async walk(): Promise<Plan> {
    const { root, chosen } = this.#request;
    const path = root.pluginId === undefined ? [] : [root.pluginId];
    const direct = [];
    for (const need of root.needs) {
      const choice = await this.#follow({ need, by: root.name }, path);
      if (choice !== undefined) direct.push({ need, choice });
    }
    if (!this.isOutdated) this.#throwIfImpossible();
    const made = [...this.#chosen].map(([pluginId, { identifier }]) => [pluginId, identifier]);
    return { direct, chosen: { ...chosen, ...Object.fromEntries(made) } };
  }

  #throwIfImpossible(): void {
    if (this.#missing.length > 0) throw missing(this.#missing, this.#conflicts);
    if (this.#conflicts.length > 0) throw conflicting(this.#conflicts);
  }

  async #follow(asked: Asked, path: readonly string[]): Promise<Choice | undefined> {
    const choice = await this.#choose(asked);
    const next = choice === undefined ? undefined : await this.#packageOf(choice);
    if (next === undefined) return choice;
    const { pluginId, identifier, dependencies } = next;
    if (path.includes(pluginId)) throw circular([...path.slice(path.indexOf(pluginId)), pluginId]);
    if (this.#done.has(pluginId)) return choice;
    this.#done.add(pluginId);
    for (const need of dependencies) await this.#follow({ need, by: identifier }, [...path, pluginId]);
    return choice;
  }

  /** A ready plugin has its dependencies; those of one that must be fetched are not known yet. */
  async #packageOf(choice: Choice): Promise<StoredPackage | undefined> {
    if (choice.kind === "package") return choice.pkg;
    if (choice.kind !== "installed") return undefined;
    const { state, identifier } = choice.installation;
    const isUnfinished = state === "installing" || state === "failed";
    return isUnfinished ? await this.#request.store.packages.find(identifier) : undefined;
  }

  async #choose(asked: Asked): Promise<Choice | undefined> {
    const { need, by } = asked;
    const installation = await findInstalled(this.#request, need);
    if (installation !== undefined) {
      if (installation.desired === "removed") return { kind: "removing", installation };
      if (fits(need, ofInstallation(installation))) return { kind: "installed", installation };
      this.#conflicts.push({ need, neededBy: by, installed: installation.identifier });
      return undefined;
    }
    const packages = await findPackages(this.#request, need);
    const pluginId = packages[0]?.pluginId;
    const fitting = packages.filter((pkg) => fits(need, pkg));
    if (pluginId !== undefined && fitting.length > 0) return this.#chooseOf(pluginId, fitting, asked);
    const source = sourceOf(need);
    if (source !== undefined) return { kind: "source", source };
    const found = packages.map(({ identifier }) => identifier);
    this.#missing.push({ need, neededBy: by, found });
    return undefined;
  }

  #chooseOf(pluginId: string, fitting: readonly StoredPackage[], asked: Asked): Choice | undefined {
    const known = this.#note(pluginId, asked);
    const before = this.#chosen.get(pluginId);
    if (before !== undefined) {
      if (!fits(asked.need, before)) this.isOutdated = true;
      return { kind: "package", pkg: before };
    }
    const needs = known.map(({ need }) => need);
    const possible = fitting.filter((pkg) => isFitting(needs, pkg));
    const preferred = this.#request.chosen[pluginId];
    const pkg = possible.find(({ identifier }) => identifier === preferred) ?? possible[0];
    if (pkg === undefined) {
      const others = known.filter(({ by }) => by !== asked.by);
      this.#conflicts.push({
        need: asked.need,
        neededBy: asked.by,
        others: others.map(({ need, by }) => `${formatNeed(need)} (for ${by})`),
      });
      return undefined;
    }
    this.#chosen.set(pluginId, pkg);
    return { kind: "package", pkg };
  }

  #note(pluginId: string, asked: Asked): readonly Asked[] {
    const known = this.#known.get(pluginId) ?? [];
    const isNew = !known.some(
      ({ need, by }) => by === asked.by && formatNeed(need) === formatNeed(asked.need),
    );
    if (isNew) known.push(asked);
    this.#known.set(pluginId, known);
    return known;
  }
}
