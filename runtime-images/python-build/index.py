"""Reads the package index of the installer's environment, and fetches archives. Runs no code of any package.

It runs where the installer runs, with the index's password in its environment, in an interpreter without site packages.
Failures are printed in the installer's words, so that one table tells what they mean.
"""
import base64
import hashlib
import html.parser
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile

ARCHIVE = re.compile(r"\.(?:tar\.gz|tgz|tar\.bz2|tar\.xz|zip)$")


class Links(html.parser.HTMLParser):
    """The anchors of one page of an index."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.found = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "base" and values.get("href"):
            self.base = urllib.parse.urljoin(self.base, values["href"])
        if tag == "a" and values.get("href"):
            self.found.append((urllib.parse.urljoin(self.base, values["href"]), values))


def normalise(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def indexes():
    further = os.environ.get("UV_INDEX", "").split()
    default = os.environ.get("UV_DEFAULT_INDEX")
    if default is None:
        command = ["uv", "pip", "compile", "--quiet", "--no-header", "--emit-index-url", "-"]
        said = subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout
        default = re.search(r"--index-url (\S+)", said).group(1)
    return [*further, default]


def ask(url, authority=None):
    """Opens a URL. Its password, or that of the index on the same host, goes to that host and to no redirect."""
    parts = urllib.parse.urlsplit(url)
    bare = parts.netloc.rpartition("@")[2]
    user = parts.netloc.rpartition("@")[0]
    if not user and authority and authority.rpartition("@")[2] == bare:
        user = authority.rpartition("@")[0]
    request = urllib.request.Request(urllib.parse.urlunsplit((parts.scheme, bare, parts.path, parts.query, "")))
    if user:
        name, _, password = user.partition(":")
        pair = f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
        token = base64.b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        return urllib.request.urlopen(request, timeout=float(os.environ.get("UV_HTTP_TIMEOUT", "30")))
    except urllib.error.HTTPError as error:
        kind = "client" if error.code < 500 else "server"
        give_up(request.full_url, f"HTTP status {kind} error ({error.code} {error.reason})")
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            give_up(request.full_url, f"invalid peer certificate: {error.reason}")
        if isinstance(error.reason, socket.gaierror):
            give_up(request.full_url, f"dns error: {error.reason}")
        give_up(request.full_url, f"client error (Connect): {error.reason}")
    except OSError as error:
        give_up(request.full_url, f"client error (Connect): {error}")


def give_up(url, cause):
    print(f"error: Failed to fetch: {url}\n  cause: {cause}", file=sys.stderr)
    sys.exit(2)


def sources(name):
    """The source archives of a package by version, of the first index that has the package."""
    wanted = normalise(name)
    for index in indexes():
        authority = urllib.parse.urlsplit(index).netloc
        found = {}
        try:
            page = ask(f"{index.rstrip('/')}/{wanted}/", authority)
        except SystemExit:
            if index == indexes()[-1]:
                raise
            continue
        links = Links(page.geturl())
        links.feed(page.read().decode())
        for url, values in links.found:
            file = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
            stem, _, version = ARCHIVE.sub("", file).rpartition("-")
            if not ARCHIVE.search(file) or normalise(stem) != wanted or "data-yanked" in values:
                continue
            if version not in found or file.endswith(".tar.gz"):
                python = values.get("data-requires-python") or ""
                found[version] = {"url": url, "authority": authority, "python": python}
        if links.found:
            return found
    return {}


def write_stubs(name, folder):
    """One wheel without content for each source archive, so that the installer can choose among their versions."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    plain = normalise(name).replace("-", "_")
    for version, source in sources(name).items():
        info = f"{plain}-{version}.dist-info"
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        if source["python"]:
            about += f"Requires-Python: {source['python']}\n"
        tag = "Wheel-Version: 1.0\nGenerator: berth\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(f"{folder}/{plain}-{version}-py3-none-any.whl", "w") as wheel:
            for path, text in {"METADATA": about, "WHEEL": tag, "RECORD": ""}.items():
                wheel.writestr(f"{info}/{path}", text)


def fetch(url, folder, authority=None):
    """Puts one archive into a folder and prints its SHA-256. The hash that the URL names must be its own."""
    parts = urllib.parse.urlsplit(url)
    name = urllib.parse.unquote(parts.path.rpartition("/")[2]) or "source"
    digest = hashlib.sha256()
    with ask(url, authority) as answer, open(os.path.join(folder, os.path.basename(name)), "wb") as file:
        while chunk := answer.read(1 << 16):
            digest.update(chunk)
            file.write(chunk)
    told = re.search(r"sha256=([0-9a-fA-F]{64})", parts.fragment)
    if told and told.group(1).lower() != digest.hexdigest():
        print(f"error: Hash mismatch for `{name}`\n  computed {digest.hexdigest()}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps({"sha256": digest.hexdigest()}))


def fetch_version(name, version, folder):
    found = sources(name)
    source = found.get(version) or next((one for other, one in found.items() if same(other, version)), None)
    if source is None:
        print(f"error: there is no version of {name}=={version} as a source archive", file=sys.stderr)
        sys.exit(1)
    fetch(source["url"], folder, source["authority"])


def same(one, other):
    """Whether two spellings are one version, as far as source archives differ: 1.0 and 1.0.0, 1.0-1 and 1.0.post1."""
    plain = [re.sub(r"(\.0)+$", "", re.sub(r"[-_]", ".", text.lower())) for text in (one, other)]
    return plain[0] == plain[1]


if __name__ == "__main__":
    {"stubs": write_stubs, "fetch": fetch, "version": fetch_version}[sys.argv[1]](*sys.argv[2:])
