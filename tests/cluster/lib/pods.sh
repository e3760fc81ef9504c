# shellcheck shell=bash
# What is put into a cluster that runs: images, GPUs, played nodes, operators.

has_pods() { [ "$(cat "$dir/mode")" = all ] || fail "the cluster in $dir has no pods; start one without --api-only"; }

image() { # name, folder, command
  local name=${1:-} root=${2:-}
  has_pods
  [[ $name = *:* && $name != *:latest ]] || fail "an image needs a tag other than latest, which would be pulled: ${name:-local/tool}:1"
  [ -d "$root" ] || fail "there is no folder $root"
  import_image "$root" "${3:-[\"/bin/sh\"]}" "$name"
}

import_image() { # folder, command, names
  local work layer
  work=$(mktemp -d -p "$dir")
  tar -C "$1" --owner=0 --group=0 -cf "$work/layer.tar" .
  layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  cat >"$work/config.json" <<K
{"architecture": "$(architecture)", "os": "linux", "config": {"Env": ["PATH=/bin:/usr/bin:/usr/local/bin"], "Cmd": $2},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}}
K
  echo '[{"Config": "config.json", "RepoTags": ["docker.io/'"$3"'"], "Layers": ["layer.tar"]}]' >"$work/manifest.json"
  tar -C "$work" -cf "$work/image.tar" config.json manifest.json layer.tar
  ctr -a "$dir/containerd.sock" -n k8s.io images import --snapshotter "$(cat "$dir/snapshotter")" "$work/image.tar" >/dev/null ||
    fail "containerd refuses the image $3"
  rm -rf "$work"
}

architecture() { uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/'; }

# Tools for a pod; run bare, it waits until it is told to end, as the first container of each pod has to.
busybox_image() {
  local root=$dir/busybox tool
  mkdir -p "$root"/{bin,etc,tmp}
  cp "$(command -v busybox)" "$root/bin/busybox"
  for tool in $(busybox --list); do
    [ "$tool" = busybox ] || ln -s busybox "$root/bin/$tool"
  done
  import_image "$root" '["/bin/sh", "-c", "trap exit TERM; while :; do sleep 3600 & wait; done"]' local/busybox:1
}

gpus() { # how many
  [[ ${1:-} =~ ^[0-9]+$ ]] || usage "how many GPUs"
  has_pods
  offer nvidia.com~1gpu "$1"
}

# The node says that it has this.
offer() { # resource as JSON pointers have it, amount
  local kind patch=()
  for kind in capacity allocatable; do # the kubelet would copy the one to the other, but in ten seconds
    patch+=('{"op": "add", "path": "/status/'"$kind/$1"'", "value": "'"$2"'"}')
  done
  enter kubectl patch node node1 --subresource=status --type=json -p "[${patch[0]}, ${patch[1]}]" >/dev/null
}

kwok() { # how many nodes
  [[ ${1:-} =~ ^[0-9]+$ ]] || usage "how many nodes"
  build kwok
  echo kwok >"$dir/requests"
  local i
  for i in $(seq "$1"); do
    cat <<K
---
apiVersion: v1
kind: Node
metadata: {name: kwok-$i, labels: {type: kwok, kubernetes.io/hostname: kwok-$i, kubernetes.io/os: linux}}
spec: {taints: [{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]}
status:
  allocatable: {cpu: "32", memory: 256Gi, pods: "1000", nvidia.com/gpu: "8"}
  capacity: {cpu: "32", memory: 256Gi, pods: "1000", nvidia.com/gpu: "8"}
K
  done | (enter kubectl apply --server-side -f -) >/dev/null
  (enter kubectl wait --for=condition=Ready node -l type=kwok --timeout=60s) >/dev/null
}

# An operator as a pod: its program in an image of its own, its manifests as its module has them, and our changes to those.
operator() { # name
  local name=${1:-} work=$dir/operators/${1:-} namespace
  [ -d "$here/operators/$name/overlay" ] || usage "no operator is called ${name:-nothing}"
  has_pods
  build "$name"
  mkdir -p "$work/root/tmp"
  exec 8>"$work/lock"
  flock 8
  if [ ! -e "$work/installed" ]; then
    cp "$bin/$name" "$work/root/manager"
    [ ! -d "$here/operators/$name/files" ] || cp -r "$here/operators/$name/files/." "$work/root/"
    cp -r "$here/operators/$name/overlay" "$work/"
    ln -sfn "$(readlink "$bin/$name.module")" "$work/module"
    image "local/$name:1" "$work/root" '["/manager"]'
    # shellcheck source=/dev/null
    [ ! -e "$here/operators/$name/pods.sh" ] || . "$here/operators/$name/pods.sh"
    (enter kubectl apply --server-side -k "$work/overlay") >/dev/null
    namespace=$(sed -n 's/^namespace: //p' "$work/overlay/kustomization.yaml")
    (enter kubectl wait --for=condition=Available deployment --all --timeout=180s -n "$namespace") >/dev/null ||
      fail "$name does not come up; see: cluster enter $dir kubectl describe pods -n $namespace"
    touch "$work/installed"
  fi
  exec 8>&-
}
