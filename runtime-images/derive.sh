# shellcheck shell=sh
# Makes images of a runtime image. Sourced after shared.sh by the scripts that do.

# Sets what is known of the runtime image: base, base_id, python.
read_base() {
  base=${BERTH_RUNTIME_IMAGE:-$runtime_image}
  base_id=$(docker image inspect "$base" --format '{{.Id}}' 2>/dev/null) ||
    die "there is no runtime image $base: run runtime-images/python/build first"
  python=$(docker image inspect "$base" --format '{{index .Config.Labels "berth.python"}}')
}

# Whether IMAGE is there, of that recipe and of this very base: derived IMAGE RECIPE
derived() {
  found=$(docker image inspect "$1" --format \
    '{{index .Config.Labels "berth.recipe"}} {{index .Config.Labels "berth.runtime-image"}}' 2>/dev/null) || return 1
  [ "$found" = "$2 $base_id" ]
}

# derive IMAGE PACKAGES FOLDER LABELS: makes IMAGE of the base, with Debian packages of its release. Where FOLDER is not
# empty, its script `setup` then runs as root in a copy of it. By commit, not by `docker build`, which some
# engines come without. Mirror, proxies and authorities reach the container in files that are gone before the commit.
derive() {
  work=$(mktemp -d)
  mkdir "$work/derive"
  bundle=$(ca_bundle)
  cat ${bundle:+"$bundle"} /dev/null >"$work/derive/ca.crt"
  setting http_proxy "${http_proxy:-}" >"$work/derive/settings"
  setting https_proxy "${https_proxy:-${HTTPS_PROXY:-}}" >>"$work/derive/settings"
  setting mirror "$(debian_mirror)" >>"$work/derive/settings"
  [ -z "$3" ] || cp -R "$3" "$work/derive/folder"
  # shellcheck disable=SC2016
  made=$(docker create --network host --user 0:0 "$base" /bin/sh -euc '
    export DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"
    . /derive/settings
    if [ $# -gt 0 ]; then
      . /etc/os-release
      if [ -n "$mirror" ]; then
        rm -f /etc/apt/sources.list.d/*
        echo "deb $mirror $VERSION_CODENAME main" >/etc/apt/sources.list
      elif [ ! -s /etc/apt/sources.list ] && [ -z "$(ls /etc/apt/sources.list.d 2>/dev/null)" ]; then
        echo "neither the machine nor the image names a mirror: set BERTH_DEBIAN_MIRROR" >&2
        exit 1
      fi
      [ ! -s /derive/ca.crt ] || echo "Acquire::https::CAInfo \"/derive/ca.crt\";" >/etc/apt/apt.conf.d/00ca
      apt-get update -qq
      apt-get install -qq -y --no-install-recommends "$@"
      : >/etc/apt/sources.list
    fi
    if [ -f /derive/folder/setup ]; then cd /derive/folder; sh -eu ./setup; cd /; fi
    rm -rf /derive /etc/apt/apt.conf.d/00ca /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /usr/share/doc/* \
      /usr/share/man/* /usr/share/locale/*' derive $2)
  docker cp --quiet "$work/derive" "$made:/"
  docker start --attach "$made" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; die "could not make $1"; }
  docker commit --change "LABEL $4" --change 'CMD ["/usr/local/bin/python3"]' "$made" "$1" >/dev/null
}
setting() { printf "export %s='%s'\n" "$1" "$(echo "$2" | sed "s/'/'\\\\''/g")"; }

# For the caller's trap: removes what `derive` made beside the image.
underive() {
  [ -z "${made:-}" ] || docker rm --force "$made" >/dev/null 2>&1 || true
  [ -z "${work:-}" ] || rm -rf "$work"
}

ready() { say "$1 is ready: $(docker image inspect "$1" --format 'Python {{index .Config.Labels "berth.python"}}, {{.Size}} bytes')"; }
