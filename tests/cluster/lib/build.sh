# shellcheck shell=bash
# Programs from Go modules, pinned by the go.mod and go.sum beside this; Go's own cache makes a second build short, and lets
# one that was broken off go on.

# What can be built: its name, the folder of its go.mod, its main packages; or `debian` and packages of Debian's.
groups=(
  "api kubernetes go.etcd.io/etcd/server/v3 k8s.io/kubernetes/cmd/kube-apiserver
    k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-scheduler k8s.io/kubernetes/cmd/kubectl"
  "node kubernetes k8s.io/kubernetes/cmd/kubelet k8s.io/kubernetes/cmd/kube-proxy ./coredns"
  "kwok kwok sigs.k8s.io/kwok/cmd/kwok"
  "training operators/training github.com/kubeflow/training-operator/cmd/training-operator.v1"
  "jobset operators/jobset sigs.k8s.io/jobset"
  "trainer operators/trainer github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager"
  "openmpi debian openmpi-bin python3-mpi4py dash coreutils"
)

build() {
  local wanted=() part why
  why=$(why_nothing)
  if [ -n "$why" ]; then
    echo "cluster: nothing can run here: $why" >&2
    return 20
  fi
  for part in "${@:-kubernetes}"; do
    if [ "$part" != kubernetes ]; then
      group "$part" >/dev/null
      wanted+=("$part")
    else
      wanted+=(api)
      [ -n "$(why_no_pods)" ] || wanted+=(node)
    fi
  done
  for part in "${wanted[@]}"; do
    is_built "$part" || build_group "$part"
  done
}

# One group, and one at a time on this machine's copy of the repository.
build_group() { # name
  mkdir -p "$bin"
  exec 9>"$cache/lock"
  flock -n 9 || { echo "cluster: another build runs; waiting for it" >&2 && flock 9; }
  if ! is_built "$1"; then
    echo "cluster: building $1 (the first time takes minutes)" >&2
    if [[ $(group "$1") = debian\ * ]]; then
      debian_root "$cache/$1" $(group "$1" | cut -d' ' -f2-)
    else
      [ -n "$(find_go)" ] || get_go
      compile "$1" "$(find_go)" $(group "$1")
    fi
    key "$1" >"$bin/$1.key"
  fi
  exec 9>&-
}

compile() { # name, Go, folder, packages
  local new=$cache/new version
  rm -rf "$new"
  mkdir -p "$new"
  (
    cd "$here/$3"
    # No C, no line tables of debuggers: an eighth less to compile, a fifth less to keep.
    export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -gcflags=all=-dwarf=false"
    version=$("$2" list -m -f '{{.Version}}' k8s.io/kubernetes 2>/dev/null || true)
    "$2" build -ldflags "-s -w ${version:+-X k8s.io/component-base/version.gitVersion=$version}" -o "$new/" "${@:4}"
  )
  # Operators bring their manifests in their module.
  if [[ $3 = operators/* ]]; then
    ln -sfn "$(cd "$here/$3" && "$2" list -f '{{.Module.Dir}}' "$4")" "$bin/$1.module"
    [ -e "$new/$1" ] || mv "$new"/* "$new/$1"
  fi
  [ ! -e "$new/server" ] || mv "$new/server" "$new/etcd"
  mv "$new"/* "$bin/"
}

# Folder and packages of a group.
group() { # name
  local line
  for line in "${groups[@]}"; do
    if [ "${line%% *}" = "$1" ]; then
      echo "${line#* }"
      return
    fi
  done
  usage "nothing is called $1"
}

# What decides whether it has to be built again.
key() { # name
  local words
  words=$(group "$1") || return
  if [[ $words = debian\ * ]]; then
    echo "$words" | cat - "$here/lib/debian.sh"
  else
    (cd "$here/${words%% *}" && echo "$words" && find . -name 'go.*' -o -name '*.go' | sort | xargs cat)
  fi | sha256sum
}

is_built() { # name
  [[ $(group "$1") != debian\ * || -d $cache/$1 ]] || return 1
  [ "$(cat "$bin/$1.key" 2>/dev/null || true)" = "$(key "$1")" ]
}
