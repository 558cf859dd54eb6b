/** A requirement that names where it is, instead of leaving that to the index. */
export interface Address {
  /** `name[extras]`; undefined where the line has the address alone. */
  readonly name: string | undefined;
  /** `[extras]` of an address without a name, else empty. */
  readonly extras: string;
  /** A URL, with `git+` in front of that of a repository, or a path. */
  readonly target: string;
  /** Markers and options behind the address, with the separator; empty where there are none. */
  readonly rest: string;
}

const NAMED = /^([A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?)\s*@\s*(\S+?)(\s+;.*|\s+--.*|;\s.*)?$/;
const BARE = /^(\S+?)(\[[^\]]*\])?(\s+;.*|\s+--.*|;\s.*)?$/;
const ARCHIVE = /\.(?:whl|zip|tar\.(?:gz|bz2|xz)|tgz)$/i;

/** Undefined for a requirement by name. */
export function parseAddress(requirement: string): Address | undefined {
  const named = NAMED.exec(requirement);
  if (named !== null) {
    const [, name = "", target = "", rest = ""] = named;
    return { name: name.replace(/\s+/g, ""), extras: "", target, rest };
  }
  const [, target = "", extras = "", rest = ""] = BARE.exec(requirement) ?? [];
  const isAddress =
    /^[a-z][a-z0-9+.-]*:/i.test(target) ||
    /^(?:\.{0,2}\/|\.{1,2}$|\$\{)/.test(target) ||
    ARCHIVE.test(target);
  return isAddress ? { name: undefined, extras, target, rest } : undefined;
}

/** Whether the address leads to a file or folder, and not over a network. */
export function isPath({ target }: Address): boolean {
  return !/^(?:git\+|[a-z][a-z0-9+.-]*:\/\/)/i.test(target) || target.startsWith("file:");
}

export function isWheel({ target }: Address): boolean {
  return /\.whl$/i.test(target.replace(/[#?].*$/, ""));
}

/** Whether it must be built before it can be installed. */
export function isSource(address: Address): boolean {
  return !isWheel(address);
}

/** The requirement with another target. */
export function withTarget({ name, extras, rest }: Address, target: string): string {
  return `${name === undefined ? "" : `${name} @ `}${target}${extras}${rest}`;
}
