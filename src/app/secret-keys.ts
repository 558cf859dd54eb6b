import {
  parseSecretKeys,
  readOrMakeSecretKeys,
  type SecretKeys,
} from "../endpoint/secret-settings/secret-keys.ts";
import type { Base } from "./base.ts";

/** The operator's keys, else those in the data folder. Throws `config_invalid`. */
export async function openSecretKeys({ config }: Pick<Base, "config">): Promise<SecretKeys> {
  const given = config.settings.BERTH_SECRET_KEYS;
  return given === undefined
    ? await readOrMakeSecretKeys(config.dataFolder)
    : parseSecretKeys(given, "BERTH_SECRET_KEYS");
}
