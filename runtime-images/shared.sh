# shellcheck shell=sh
# What the scripts of this folder share. They set `what`, the name in front of each message, and `began`.

say() { echo "$what: $* ($(($(date +%s) - began)) s)"; }
die() { echo "$what: $*" >&2; exit 1; }

# The runtime image that other images are made of, where BERTH_RUNTIME_IMAGE names no other.
runtime_image=berth-python:5

# The first Debian address among apt's sources (both file formats); another distribution's sources do not serve.
debian_mirror() {
  if [ -n "${BERTH_DEBIAN_MIRROR:-}" ]; then echo "$BERTH_DEBIAN_MIRROR"; return; fi
  found=
  if grep -qsx 'ID=debian' /etc/os-release; then
    found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
      sed -nE -e 's#^URIs: *(https?://[^ ]+).*#\1#p' -e 's#^deb +(\[[^]]*\] +)?(https?://[^ ]+) .*#\2#p' |
      grep -E '/debian/?$' | head -n 1) || true
  fi
  echo "$found"
}

ca_bundle() {
  for file in "${BERTH_CA_BUNDLE:-}" "${SSL_CERT_FILE:-}" "${NODE_EXTRA_CA_CERTS:-}" /etc/ssl/certs/ca-certificates.crt; do
    if [ -n "$file" ] && [ -r "$file" ]; then echo "$file"; return; fi
  done
}
