"""Builds one source tree into a wheel, by the hooks of its build backend.

It runs in a container of its own, where everything may be foreign: what it prints is checked by its reader. Its own
answers go to standard output; what the backend prints goes to standard error.
"""
import importlib
import json
import os
import shutil
import site
import sys
import tarfile
import zipfile

SOURCE, ENVIRONMENT, WORK = "/source", "/environment", "/work"
TREE, OUT = f"{WORK}/tree", f"{WORK}/out"


def unpack():
    """Makes the tree: of a folder as it is, of an archive its one folder."""
    entries = [name for name in os.listdir(SOURCE)]
    path = os.path.join(SOURCE, entries[0]) if len(entries) == 1 else SOURCE
    if os.path.isdir(path):
        shutil.copytree(path, TREE, symlinks=True)
        return
    place = f"{WORK}/unpacked"
    os.makedirs(place)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(place)
    else:
        with tarfile.open(path) as archive:
            archive.extractall(place, filter="data")
    folders = os.listdir(place)
    os.rename(os.path.join(place, folders[0]) if len(folders) == 1 else place, TREE)


def build_system(folder):
    """What the project's file says; setuptools without a file, as the format prescribes."""
    requires, backend, paths = ["setuptools>=40.8.0"], "setuptools.build_meta:__legacy__", []
    file = f"{folder}/pyproject.toml"
    if os.path.exists(file):
        import tomllib

        with open(file, "rb") as text:
            said = tomllib.load(text).get("build-system", {})
        requires = said.get("requires", requires)
        backend = said.get("build-backend", backend)
        paths = said.get("backend-path", [])
    return requires, backend, paths


def load(folder):
    _, backend, paths = build_system(folder)
    os.chdir(folder)
    site.addsitedir(ENVIRONMENT)
    sys.path[:0] = [os.path.join(folder, path) for path in paths] + [ENVIRONMENT]
    module, _, attribute = backend.partition(":")
    found = importlib.import_module(module)
    for name in filter(None, attribute.split(".")):
        found = getattr(found, name)
    return found


def main(step, subdirectory):
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if step == "unpack":
        unpack()
    folder = os.path.normpath(os.path.join(TREE, subdirectory))
    if step == "unpack":
        answer = build_system(folder)[0]
    elif step == "requires":
        backend = load(folder)
        answer = getattr(backend, "get_requires_for_build_wheel", lambda _: [])(None)
    else:
        os.makedirs(OUT)
        name = os.path.basename(load(folder).build_wheel(OUT, None, None))
        answers.write(f"{name}\n".encode())
        with open(os.path.join(OUT, name), "rb") as wheel:
            shutil.copyfileobj(wheel, answers)
        answers.flush()
        return
    answers.write(json.dumps(answer).encode())
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
