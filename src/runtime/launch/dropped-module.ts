/** Tells whether a plugin ended because its package imports a module that its Python does not have any more. */

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
const MISSING = /^ModuleNotFoundError: No module named '([A-Za-z0-9_]+)/;

/** A sentence for whoever installs the package; undefined where its last output names no such module. */
export function explainDroppedModule(lines: readonly string[]): string | undefined {
  const missing = lines.flatMap((line) => MISSING.exec(line)?.[1] ?? []).at(-1);
  // pydub tries this name when there is no audioop.
  const name = missing === "pyaudioop" ? "audioop" : (missing ?? "");
  const [since] = Object.entries(DROPPED).find(([, names]) => names.includes(name)) ?? [];
  if (since === undefined) return undefined;
  const instead = Object.hasOwn(INSTEAD, name)
    ? `add ${INSTEAD[name]} to its requirements, or run it on an older Python`
    : "run it on an older Python";
  return `The package imports the module ${name}, which Python has not had since ${since}: ${instead}.`;
}
