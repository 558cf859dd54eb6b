/**
 * Matches a path against a pattern, part by part: `*` and `?` stay within a part, `[a-z]` and `[^a-z]` are classes,
 * a backslash escapes the next character. `**` means the same as `*`. Undefined for a malformed pattern.
 */
export function matchGlob(pattern: string, path: string): boolean | undefined {
  const parts = pattern.split("/").map(parsePart);
  if (parts.some((part) => part === undefined)) return undefined;
  const names = path.split("/");
  return (
    parts.length === names.length &&
    parts.every((part, index) => part !== undefined && matchPart(part, names[index] ?? ""))
  );
}

type Token = "star" | ((character: string) => boolean);

function parsePart(part: string): readonly Token[] | undefined {
  const tokens: Token[] = [];
  const characters = [...part];
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index] ?? "";
    if (character === "*") tokens.push("star");
    else if (character === "?") tokens.push(() => true);
    else if (character === "[") {
      const end = characters.indexOf("]", index + (characters[index + 1] === "^" ? 3 : 2));
      if (end < 0) return undefined;
      tokens.push(parseClass(characters.slice(index + 1, end)));
      index = end;
    } else if (character === "\\") {
      index += 1;
      const literal = characters[index];
      if (literal === undefined) return undefined;
      tokens.push((other) => other === literal);
    } else tokens.push((other) => other === character);
  }
  return tokens;
}

function parseClass(characters: readonly string[]): Token {
  const negated = characters[0] === "^";
  const body = negated ? characters.slice(1) : characters;
  const ranges: [string, string][] = [];
  for (let index = 0; index < body.length; index += 1) {
    const from = body[index] ?? "";
    const isRange = body[index + 1] === "-" && index + 2 < body.length;
    ranges.push([from, isRange ? (body[index + 2] ?? from) : from]);
    if (isRange) index += 2;
  }
  return (character) => ranges.some(([from, to]) => character >= from && character <= to) !== negated;
}

/** Backtracks to the last star only: the time is at most proportional to the product of the lengths. */
function matchPart(tokens: readonly Token[], name: string): boolean {
  const characters = [...name];
  let token = 0;
  let at = 0;
  let star = -1;
  let resume = 0;
  while (at < characters.length) {
    const wanted = tokens[token];
    if (wanted === "star") {
      star = token;
      resume = at;
      token += 1;
    } else if (wanted?.(characters[at] ?? "")) {
      token += 1;
      at += 1;
    } else if (star >= 0) {
      token = star + 1;
      resume += 1;
      at = resume;
    } else return false;
  }
  return tokens.slice(token).every((rest) => rest === "star");
}
