/** Environment variables that a tenant or the operator sets for the plugin of one installation. */
import { Fault, invalidInput } from "./fault.ts";
import { proxyVariables } from "./proxy.ts";

/** As it is stored: a secret only encrypted. `version` changes with the secret, so that a change shows without it. */
export type PluginVariable =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly sealed: string; readonly version: string };

/** As it is asked for. A secret without a value keeps the stored one. */
export interface VariableAsked {
  readonly value?: string | undefined;
  readonly secret: boolean;
}

/** Libraries use different names: Python's, curl's, Node's, gRPC's and the AWS SDK's read these. */
export const CA_VARIABLES = [
  "SSL_CERT_FILE",
  "REQUESTS_CA_BUNDLE",
  "CURL_CA_BUNDLE",
  "PIP_CERT",
  "NODE_EXTRA_CA_CERTS",
  "AWS_CA_BUNDLE",
  "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
  "HTTPLIB2_CA_CERTS",
] as const;

/** What start, protocol and health checks of a plugin depend on, and what settings of the operator decide. */
const RESERVED: readonly string[] = [
  "PATH",
  "HOME",
  "INSTALL_METHOD",
  "HEARTBEAT_INTERVAL",
  "PYTHONUNBUFFERED",
  "PYTHONDONTWRITEBYTECODE",
  "GLIBC_TUNABLES",
  ...CA_VARIABLES,
  ...Object.keys(proxyVariables({ http: "", https: "", bypass: "" })),
];
/** The dynamic linker's: they would also change the runner, which holds the key of the link. */
const RESERVED_PREFIX = "LD_";
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const NAME_ACCEPTED = "1 to 128 letters, digits and `_`, not a digit first";
const NOT_RESERVED = `any name but ${RESERVED.join(", ")} and those that begin with ${RESERVED_PREFIX}`;
const VARIABLES_MAX = 100;
const BYTES_MAX = 65_536;

/** Throws `invalid_input`, which shows no value. */
export function assertVariables(asked: Readonly<Record<string, VariableAsked>>): void {
  const all = Object.entries(asked);
  if (all.length > VARIABLES_MAX)
    throw invalidInput("variables", all.length, `at most ${VARIABLES_MAX} variables`);
  for (const [name, { value, secret }] of all) {
    const field = `variables.${name}`;
    assertName(field, name);
    if (value?.includes("\0")) throw invalidInput(field, "a text with a NUL character", "a text without one");
    if (value === undefined && !secret) throw invalidInput(`${field}.value`, undefined, "a text");
  }
  const bytes = all.reduce((sum, [name, { value = "" }]) => sum + Buffer.byteLength(name + value), 0);
  if (bytes > BYTES_MAX)
    throw invalidInput(
      "variables",
      `${bytes} bytes`,
      `names and values of at most ${BYTES_MAX} bytes together`,
    );
}

function assertName(field: string, name: string): void {
  if (!NAME.test(name)) throw wrongName(field, name, "is no name of a variable", NAME_ACCEPTED);
  if (RESERVED.includes(name) || name.startsWith(RESERVED_PREFIX))
    throw wrongName(field, name, "is a name that Berth reserves", NOT_RESERVED);
}

/** The name stands in the place of a value, so the message names it once. */
function wrongName(field: string, name: string, why: string, accepted: string): Fault {
  return new Fault("invalid_input", `${JSON.stringify(name)} in variables ${why}; accepted: ${accepted}.`, {
    details: { field, value: name, accepted },
  });
}
