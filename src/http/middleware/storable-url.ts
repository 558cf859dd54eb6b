import { type Fault, invalidInput } from "../../domain/fault.ts";

/** U+0000, or half of a surrogate pair written as if it were a character: no row and no lookup takes either. */
const UNSTORABLE = /%00|%ed%[ab][0-9a-f]/i;

/** What a path or a query holds that cannot be stored, by the name of the parameter; undefined for nothing. */
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

/** Of the address of a hook what leads to it; undefined for any other. */
export function hookAddress(target: string): string | undefined {
  return /^\/e\/[^/?]*/.exec(target)?.[0];
}
