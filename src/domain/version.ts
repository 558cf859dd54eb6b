/**
 * Compares versions of one plugin: negative where `a` is older. Numbers compare as numbers, a missing one as 0. A
 * version with a tag comes before the same one without, and tags are compared piece by piece: `1.9.0 < 1.10.0-beta2 <
 * 1.10.0-beta10 < 1.10.0`.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parse(a), parse(b)];
  const numbers = compareLists(left.numbers, right.numbers);
  if (numbers !== 0) return numbers;
  if (left.tag === undefined || right.tag === undefined)
    return Number(left.tag === undefined) - Number(right.tag === undefined);
  return compareTags(left.tag, right.tag);
}

function parse(text: string): { readonly numbers: readonly number[]; readonly tag: string | undefined } {
  const dash = text.indexOf("-");
  const numbers = (dash < 0 ? text : text.slice(0, dash)).split(".").map(Number);
  return { numbers, tag: dash < 0 ? undefined : text.slice(dash + 1) };
}

function compareLists(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/** Runs of digits compare as numbers and come before letters. */
function compareTags(a: string, b: string): number {
  const [left, right] = [pieces(a), pieces(b)];
  for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
    const [one, other] = [left[at], right[at]];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    if (one === other) continue;
    const [isNumber, isOtherNumber] = [/^\d/.test(one), /^\d/.test(other)];
    if (isNumber !== isOtherNumber) return isNumber ? -1 : 1;
    const difference = isNumber ? Number(one) - Number(other) : one < other ? -1 : 1;
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

function pieces(tag: string): readonly string[] {
  return tag.match(/\d+|\D+/g) ?? [];
}
