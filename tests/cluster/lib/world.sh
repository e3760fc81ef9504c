# shellcheck shell=bash
# The world of one cluster, from outside: who starts it, watches over it, and clears up. A cluster with pods has its own
# processes, mounts and network: all of it goes with its first process, and that goes with the supervisor, however it ends.

up() {
  local mode=all owner="" why="" parts=(api node)
  while [[ ${1:-} = --* ]]; do
    case $1 in
      --api-only) mode=api-only parts=(api) ;;
      --for) owner=${2:-} && shift ;;
      *) usage "up knows no $1" ;;
    esac
    shift
  done
  folder "$@"
  why=$(why_nothing)
  if [ -z "$why" ] && [ "$mode" = all ]; then why=$(why_no_pods); fi
  [ -z "$why" ] || fail "$why"
  for part in "${parts[@]}"; do
    is_built "$part" || fail "$part is not built; cluster build"
  done
  ! running || fail "a cluster runs in $dir; end it first: cluster down $dir"
  [ -z "$(ls -A "$dir" 2>/dev/null)" ] || [ -e "$dir/cluster" ] || fail "$dir holds something else; name an empty folder"
  [ -z "$owner" ] || [ -n "$(began "$owner")" ] || fail "there is no process $owner"
  [ ${#dir} -le 80 ] || fail "$dir is too long for the names of sockets in it; name a shorter one"
  start_supervisor "$mode" "$owner"
}

start_supervisor() { # mode, owner
  mkdir -p "$dir"
  rm -f "$dir/ready" "$dir/failed"
  touch "$dir/cluster"
  trap down EXIT # not up yet: an interrupt ends what has begun
  setsid bash "$here/cluster" _supervise "$dir" "$1" "$2" >"$dir/supervisor.log" 2>&1 </dev/null &
  local supervisor=$!
  while [ ! -e "$dir/ready" ]; do
    if [ -e "$dir/failed" ] || ! kill -0 "$supervisor" 2>/dev/null; then
      cat "$dir/failed" "$dir/supervisor.log" >&2 2>/dev/null || true
      trap - EXIT
      kill "$supervisor" 2>/dev/null && wait "$supervisor" || true
      fail "did not come up; its logs are in $dir until: cluster down $dir"
    fi
    sleep 0.1
  done
  trap - EXIT
}

# Runs as long as its cluster.
supervise() { # mode, owner
  local mode=$1 owner=$2 owner_began world=()
  owner_began=$(began "$owner")
  exec 9>"$dir/lock"
  flock -n 9 || fail "a cluster runs in $dir"
  clear_world
  find "$dir" -mindepth 1 -maxdepth 1 ! -name lock ! -name cluster ! -name supervisor.log -exec rm -rf {} +
  echo $$ >"$dir/supervisor"
  if [ "$mode" = all ]; then
    world=(unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private)
    make_cgroups "$(cgroup)"
  fi
  trap 'end_world; exit' TERM INT
  setpriv --pdeathsig KILL "${world[@]}" bash "$here/cluster" _serve "$dir" "$mode" 9>&- &
  local first=$!
  echo "$first" >"$dir/first"
  while kill -0 "$first" 2>/dev/null; do
    if [ -n "$owner" ] && [ "$(began "$owner")" != "$owner_began" ]; then
      end_world
      rm -rf "$dir"
      exit
    fi
    sleep 0.5 9>&-
  done
  clear_world
}

# With processes of its own, a cluster ends with the first of them. Without, that one ends and buries the others.
end_world() {
  if [ "$mode" = all ]; then kill -KILL "$first"; else kill -TERM "$first"; fi 2>/dev/null || true
  wait "$first" 2>/dev/null || true
  clear_world
}

# What outlives processes. Safe to repeat.
clear_world() { remove_cgroups "$(cgroup)"; }

stop_supervisor() {
  local supervisor
  supervisor=$(cat "$dir/supervisor" 2>/dev/null || true)
  if running && [ -n "$supervisor" ]; then
    kill "$supervisor" 2>/dev/null || true
    flock -w 20 "$dir/lock" true || { kill -KILL "$supervisor" && flock -w 5 "$dir/lock" true; }
  fi
  clear_world
}

down() {
  [ -e "$dir" ] || return 0
  [ -e "$dir/cluster" ] || fail "$dir is not a cluster's folder"
  stop_supervisor
  rm -rf "$dir"
}

# The supervisor holds the lock as long as it lives.
running() { [ -e "$dir/lock" ] && ! flock -n "$dir/lock" true; }

# When a process began, since its number may be used again; empty if it has ended.
began() { # process
  local stat
  [ -n "$1" ] && stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  # Fields are counted behind the name, which may hold anything. A zombie has ended.
  read -ra stat <<<"${stat##*) }"
  [ "${stat[0]}" = Z ] || echo "${stat[19]}"
}

# The process in whose namespaces the cluster is.
inside() {
  local first
  first=$(cat "$dir/first")
  pgrep -P "$first" -f _serve | head -1
}

enter() { # command
  [ $# != 0 ] || usage "the command is missing"
  export KUBECONFIG=$dir/kubeconfig PATH=$bin:$PATH
  if [ "$(cat "$dir/mode")" = all ]; then
    exec nsenter --net="/proc/$(inside)/ns/net" -- "$@"
  fi
  exec "$@"
}

# Control groups of the cluster's own, below which its pods are, in each hierarchy there is.
cgroup() { echo "cairn-cluster-$(echo "$dir" | sha256sum | cut -c1-12)"; }

hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

make_cgroups() { # name
  local hierarchy controller
  for hierarchy in $(hierarchies); do
    # Version 2 hands on what its root has been told to; what it cannot, the kubelet names if it needs it.
    for controller in cpu cpuset io memory pids; do
      { [ ! -e "$hierarchy/cgroup.subtree_control" ] || echo "+$controller" >"$hierarchy/cgroup.subtree_control"; } 2>/dev/null || true
    done
    mkdir -p "$hierarchy/$1" || return
  done
}

# Processes that were killed stay in their group for a moment.
remove_cgroups() { # name
  local hierarchy try
  for hierarchy in $(hierarchies); do
    for try in 1 2 3 4 5 6 7 8 9 10; do
      [ -d "$hierarchy/$1" ] || break
      find "$hierarchy/$1" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.2
    done
    [ ! -d "$hierarchy/$1" ] || echo "cluster: $hierarchy/$1 is still in use" >&2
  done
}
