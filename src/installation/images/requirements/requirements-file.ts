/**
 * Reads a requirements file with the files that it includes. A package names requirements and versions; the operator
 * chooses where they come from. So options that choose an index are ignored with a warning, and paths stay below the
 * package's folder.
 */
import { isPath, parseAddress, withTarget } from "./address.ts";
import {
  cut,
  type DependencyFiles,
  fileFault,
  formatOrigin,
  isFile,
  isFolder,
  type Origin,
  pathInPackage,
  type Requirement,
  readText,
} from "./dependency-files.ts";
import { inputUrl } from "./input-files.ts";

export class RequirementLines {
  readonly requirements: Requirement[] = [];
  readonly constraints: Requirement[] = [];
  readonly warnings: string[] = [];
  /** Options of the installer that the lines ask for. */
  readonly options = new Set<string>();
  /** Files of the package that the installer needs: wheels, and what wheels are built from. */
  readonly needed = new Set<string>();
  readonly #files: DependencyFiles;
  readonly #seen = new Set<string>();

  constructor(files: DependencyFiles) {
    this.#files = files;
  }

  /** Adds a file's lines; a file that was read already adds nothing. */
  async addFile(path: string, into: "requirements" | "constraints" = "requirements"): Promise<void> {
    if (this.#seen.has(`${into}:${path}`)) return;
    this.#seen.add(`${into}:${path}`);
    for (const { text, line } of logicalLines(await readText(this.#files, path))) {
      const origin = { file: path, line };
      if (text.startsWith("-")) await this.#addOptions(text, origin, into);
      else this.add(text, origin, into);
    }
  }

  /** Adds one requirement. A wheel of the package becomes its path where the installer runs. */
  add(written: string, origin: Origin, into: "requirements" | "constraints" = "requirements"): void {
    const text = this.#withoutOptions(written, origin);
    const address = parseAddress(text);
    if (address === undefined || !isPath(address)) {
      refuseVariables({ text, origin });
      this[into].push({ text, origin });
      return;
    }
    const path = pathInPackage(this.#files, address.target, origin);
    const below = path === "." ? [] : this.#files.paths.filter((file) => `${file}/`.startsWith(`${path}/`));
    if (below.length === 0) {
      const accepted = "a wheel or source below the package's folder, or a requirement by name and version";
      throw fileFault(origin, `"${cut(text)}" is the package itself.`, text, accepted);
    }
    for (const file of below) this.needed.add(file);
    this[into].push({ text: withTarget(address, inputUrl(path)), origin });
  }

  async #addOptions(text: string, origin: Origin, into: "requirements" | "constraints"): Promise<void> {
    for (const { name, value } of optionsIn(text)) {
      if (INCLUDES[name] !== undefined) {
        const path = this.#fileNamed(name, value, origin);
        await this.addFile(path, INCLUDES[name] === "requirements" ? into : "constraints");
      } else if (EDITABLES.includes(name)) {
        // What is installed is the same; nobody edits it afterwards.
        this.add(value, origin, into);
      } else if (FINDS.includes(name) && !/^[a-z]+:\/\//i.test(value)) {
        this.#addFolder(value, origin);
      } else if (KEPT[name] !== undefined) {
        this.options.add(KEPT[name]);
      } else {
        this.#ignore(name, origin);
      }
    }
  }

  #fileNamed(option: string, value: string, origin: Origin): string {
    if (value === "" || /^[a-z]+:\/\//i.test(value)) {
      throw fileFault(
        origin,
        `${option} names no file of the package.`,
        value,
        "a file below the package's folder",
      );
    }
    const path = pathInPackage(this.#files, value, origin);
    if (isFile(this.#files, path)) return path;
    throw fileFault(origin, `"${cut(value)}" is a folder.`, value, "a file below the package's folder");
  }

  #addFolder(value: string, origin: Origin): void {
    const folder = pathInPackage(this.#files, value, origin);
    if (!isFolder(this.#files, folder)) {
      throw fileFault(
        origin,
        `"${cut(value)}" is not a folder.`,
        value,
        "a folder below the package's folder",
      );
    }
    const prefix = folder === "." ? "" : `${folder}/`;
    const wheels = this.#files.paths.filter(
      (path) => path.startsWith(prefix) && !path.slice(prefix.length).includes("/") && path.endsWith(".whl"),
    );
    for (const wheel of wheels) this.needed.add(wheel);
    if (wheels.length > 0) this.options.add(`--find-links=${inputUrl(folder)}`);
    else this.warnings.push(`${formatOrigin(origin)}: there is no wheel in ${folder}.`);
  }

  /** Hashes stay: they only pin what was locked. Other options behind a requirement are ignored. */
  #withoutOptions(text: string, origin: Origin): string {
    return text.replace(/\s(--[a-z][\w-]*)(?:[= ](?:"[^"]*"|'[^']*'|\S+))?/g, (option, name: string) => {
      if (name === "--hash") return option;
      this.#ignore(name, origin);
      return "";
    });
  }

  #ignore(name: string, origin: Origin): void {
    const why = INDEX_OPTIONS.test(name) ? "; the operator chooses where wheels come from" : "";
    this.warnings.push(`${formatOrigin(origin)}: ${name} is ignored${why}.`);
  }
}

/** Throws where a line names a variable: the installer would put its own into an address, and they hold passwords. */
export function refuseVariables({ text, origin }: Requirement): void {
  const [variable] = /\$\{[^}]*\}/.exec(text) ?? [];
  if (variable === undefined) return;
  throw fileFault(origin, `"${cut(text)}" names a variable.`, variable, "an address without variables");
}

const INCLUDES: Readonly<Record<string, "requirements" | "constraints">> = {
  "-r": "requirements",
  "--requirement": "requirements",
  "-c": "constraints",
  "--constraint": "constraints",
};
const EDITABLES: readonly string[] = ["-e", "--editable"];
const FINDS: readonly string[] = ["-f", "--find-links"];
const KEPT: Readonly<Record<string, string>> = {
  "--pre": "--prerelease=allow",
  "--require-hashes": "--require-hashes",
};
const INDEX_OPTIONS = /^(?:-i|-f|--(?:pypi|index|extra-index)-url|--no-index|--find-links|--trusted-host)$/;

interface Option {
  readonly name: string;
  readonly value: string;
}

/** The options of one line: `-rfile`, `-r file`, `--requirement file` and `--requirement=file` are the same. */
function optionsIn(text: string): Option[] {
  const words = text.match(/(?:"[^"]*"|'[^']*'|\S)+/g) ?? [];
  const options: Option[] = [];
  for (const word of words.map((quoted) => quoted.replace(/["']/g, ""))) {
    const [, name, value] = /^(--[^=]+|-[a-zA-Z])=?(.*)$/.exec(word) ?? [];
    const last = options.at(-1);
    if (name !== undefined) options.push({ name, value: value ?? "" });
    else if (last !== undefined)
      options[options.length - 1] = { ...last, value: `${last.value} ${word}`.trim() };
  }
  return options;
}

/** Lines without comments, joined where one ends with a backslash; `line` is that of their beginning. */
export function* logicalLines(text: string): Generator<{ text: string; line: number }> {
  let begun: { text: string; line: number } | undefined;
  for (const [at, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const { line = at + 1, text: before = "" } = begun ?? {};
    const isOpen = raw.endsWith("\\");
    const joined = `${before}${isOpen ? `${raw.slice(0, -1)} ` : raw}`;
    begun = isOpen ? { text: joined, line } : undefined;
    const whole = joined.replace(/(^|\s)#.*$/, "").trim();
    if (begun === undefined && whole !== "") yield { text: whole, line };
  }
  const rest = begun?.text.trim() ?? "";
  if (begun !== undefined && rest !== "") yield { text: rest, line: begun.line };
}
