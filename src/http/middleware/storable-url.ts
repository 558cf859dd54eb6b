import { type Fault, invalidInput } from "../../domain/fault.ts";

/** U+0000, or half of a surrogate pair encoded like a character: neither can be stored or looked up. */
const UNSTORABLE = /%00|%ed%[ab][0-9a-f]/i;

/** The error for text in path or query that cannot be stored; it names the parameter. Undefined where there is none. */
export function unstorable(url: string): Fault | undefined {
  if (!UNSTORABLE.test(url)) return undefined;
  const accepted = "text without U+0000 and without halves of surrogate pairs";
  const mark = url.indexOf("?");
  const path = mark < 0 ? url : url.slice(0, mark);
  if (UNSTORABLE.test(path)) return invalidInput("path", path, accepted);
  const pair =
    url
      .slice(mark + 1)
      .split("&")
      .find((one) => UNSTORABLE.test(one)) ?? "";
  const [name = "", value = ""] = pair.split("=", 2);
  return UNSTORABLE.test(name) ? invalidInput("query", name, accepted) : invalidInput(name, value, accepted);
}

/** The part of a hook's address up to its hook id; undefined for any other address. */
export function hookAddress(target: string): string | undefined {
  return /^\/e\/[^/?]*/.exec(target)?.[0];
}
