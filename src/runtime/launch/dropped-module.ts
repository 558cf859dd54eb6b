/** Tells whether a plugin ended because its package uses a module or a name that its Python does not have any more. */

/** The first Python without each module. */
const DROPPED: Readonly<Record<string, readonly string[]>> = {
  "3.12": ["asynchat", "asyncore", "distutils", "imp", "smtpd"],
  "3.13": [
    ...["aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis"],
    ...["nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"],
  ],
};
/** Packages that bring a module back under its own name. */
const INSTEAD: Readonly<Record<string, string>> = {
  asynchat: "pyasynchat",
  asyncore: "pyasyncore",
  audioop: "audioop-lts",
  cgi: "legacy-cgi",
  cgitb: "legacy-cgi",
  distutils: "setuptools",
  ...Object.fromEntries(
    [
      ...["aifc", "chunk", "imghdr", "mailcap", "nntplib", "pipes"],
      ...["sndhdr", "sunau", "telnetlib", "uu", "xdrlib"],
    ].map((name) => [name, `standard-${name}`]),
  ),
};
/** The first Python without each name of a module; those of which people still have code. */
const DROPPED_NAMES: Readonly<Record<string, readonly string[]>> = {
  "3.11": ["asyncio.coroutine", "inspect.formatargspec", "inspect.getargspec"],
  "3.12": [
    ...["configparser.SafeConfigParser", "importlib.find_loader", "locale.format", "pkgutil.ImpImporter"],
    ...["ssl.match_hostname", "ssl.wrap_socket"],
  ],
  "3.13": [
    ...["locale.resetlocale", "re.template", "typing.io", "typing.re"],
    ...["unittest.findTestCases", "unittest.makeSuite"],
  ],
};
const MISSING = /^ModuleNotFoundError: No module named '([A-Za-z0-9_]+)/;
const NO_ATTRIBUTE = /^AttributeError: module '(\w+)' has no attribute '(\w+)'/;
const NO_NAME = /^ImportError: cannot import name '(\w+)' from '(\w+)'/;

/** A sentence for whoever installs the package; undefined where its last output names no such module or name. */
export function explainDroppedModule(lines: readonly string[]): string | undefined {
  const missing = lines.flatMap((line) => MISSING.exec(line)?.[1] ?? []).at(-1);
  // pydub tries this name when there is no audioop.
  const module = missing === "pyaudioop" ? "audioop" : (missing ?? "");
  const noModule = firstWithout(DROPPED, module);
  if (noModule !== undefined) {
    const older = olderThan(noModule);
    const instead = Object.hasOwn(INSTEAD, module)
      ? `add ${INSTEAD[module]} to its requirements, or ${older}`
      : older;
    return `The package imports the module ${module}, which Python has not had since ${noModule}: ${instead}.`;
  }
  const name = lines.flatMap(nameIn).at(-1) ?? "";
  const noName = firstWithout(DROPPED_NAMES, name);
  if (noName === undefined) return undefined;
  return `The package uses ${name}, which Python has not had since ${noName}: ${olderThan(noName)}.`;
}

function nameIn(line: string): string | readonly [] {
  const [, module, attribute] = NO_ATTRIBUTE.exec(line) ?? [];
  if (module !== undefined) return `${module}.${attribute}`;
  const [, name, from] = NO_NAME.exec(line) ?? [];
  return name === undefined ? [] : `${from}.${name}`;
}

function firstWithout(table: Readonly<Record<string, readonly string[]>>, name: string): string | undefined {
  return Object.entries(table).find(([, names]) => names.includes(name))?.[0];
}

/** Where the package asks for an older Python, it gets that one as soon as there is an image with it. */
function olderThan(version: string): string {
  const [major = "", minor = ""] = version.split(".");
  return `run it on an older Python (runtime-images/python/build --python ${major}.${Number(minor) - 1})`;
}
