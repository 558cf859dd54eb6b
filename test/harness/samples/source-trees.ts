/** A backend in the tree, which needs no compiler. It says what it sees of the container in which it runs. */
const BACKEND = `
import os, sys, zipfile
import helper

def build_wheel(out, config_settings=None, metadata_directory=None):
    name, version = open("about").read().split()
    print("BUILT", name, version, "uid", os.getuid(), "sees", sorted(os.listdir("/")), os.listdir("/sys/class/net"))
    print("ENVIRONMENT", dict(os.environ))
    for path in ("/source/x", "/environment/x", "/x"):
        try:
            open(path, "w")
            print("WROTE", path)
        except OSError:
            pass
    file = f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(os.path.join(out, file), "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\nRequires-Dist: plain\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\\n{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n")
    return file
`;

const SYSTEM = '[build-system]\nrequires = ["helper"]\nbuild-backend = "backend"\nbackend-path = ["."]\n';

/** By path; its wheel is NAME-VERSION, needs `helper` to be built, and requires `plain`. */
export const treeOf = (name: string, version: string, backend = BACKEND) => ({
  "pyproject.toml": SYSTEM,
  "backend.py": backend,
  about: `${name} ${version}`,
});
