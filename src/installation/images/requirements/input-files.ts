/** Where the installer finds its input: the package's files under their own paths, and files that are made for it. */

export const INPUT_PATH = "/build";
/** In a folder of their own, so that no file of a package has their names. */
export const WANTED_FILE = ".berth/requirements.txt";
export const CONSTRAINTS_FILE = ".berth/constraints.txt";

/** The URL of a package's file or folder where the installer runs. */
export function inputUrl(path: string): string {
  return encodeURI(`file://${INPUT_PATH}/${path}`);
}
