import type { Config } from "../config.ts";
import {
  parseSecretKeys,
  readOrMakeSecretKeys,
  type SecretKeys,
} from "../endpoint/secret-settings/secret-keys.ts";

/** The operator's keys, else those in the data folder. Throws `config_invalid`. */
export async function openSecretKeys(config: Config): Promise<SecretKeys> {
  const given = config.settings.BERTH_SECRET_KEYS;
  return given === undefined
    ? await readOrMakeSecretKeys(config.dataFolder)
    : parseSecretKeys(given, "BERTH_SECRET_KEYS");
}
