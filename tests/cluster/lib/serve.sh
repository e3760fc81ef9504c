# shellcheck shell=bash
# The programs of a cluster, started and kept by its first process.

declare -A process # of each program

serve() { # mode
  local mode=$1 address=127.0.0.1
  export KUBECONFIG=$dir/kubeconfig PATH=$bin:$PATH
  trap 'kill -KILL "${process[@]}"; wait; exit' TERM
  mkfifo "$dir/requests"
  echo "$mode" >"$dir/mode"
  if [ "$mode" = all ]; then
    address=$node_ip
    make_network
    hide_host
    start_containerd
  else
    # Loopback is wide: with an address of its own, a cluster clashes with nothing over ports.
    address=127.$((RANDOM % 200 + 20)).$((RANDOM % 256)).$((RANDOM % 254 + 1))
  fi
  start_control_plane "$address"
  [ "$mode" = api-only ] || start_node
  until_true kube-controller-manager "kubectl get serviceaccount default"
  touch "$dir/ready"
  serve_requests "$mode"
}

make_network() {
  ip link set lo up
  ip address add "$node_ip/32" dev lo
  ip route add "$services" dev lo src "$node_ip" # so that the API server itself can call a Service, as for webhooks
  sysctl -qw net.ipv4.ip_forward=1
}

# Programs write to places that no setting moves. This process has mounts of its own, so they write to memory, and the
# kernel's switches that the kubelet would turn for the whole machine look as it wants them.
hide_host() {
  local folder switch path
  for folder in /run/containerd /run/netns /var/lib/kubelet /var/lib/cni /var/log/containers; do
    mkdir -p "$folder"
    mount -t tmpfs tmpfs "$folder"
  done
  mkdir -p "$dir/switches"
  for switch in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    path=$dir/switches/$(basename "${switch%=*}")
    echo "${switch#*=}" >"$path"
    mount --bind "$path" "/proc/sys/${switch%=*}"
  done
  mount --make-rshared / # what a pod mounts, others may see
}

start_control_plane() { # address
  local etcd=http://$1:2379 limits=(--kube-api-qps=500 --kube-api-burst=1000) # a benchmark would measure the usual 20 a second
  write_keys "$1"
  write_audit
  start etcd --data-dir "$dir/etcd" --unsafe-no-fsync --logger=zap --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
    --listen-peer-urls "http://$1:2380" --initial-advertise-peer-urls "http://$1:2380" --initial-cluster "default=http://$1:2380"
  start kube-apiserver --etcd-servers="$etcd" --bind-address="$(listen "$1")" --advertise-address="$node_ip" \
    --tls-cert-file="$dir/keys/server.crt" --tls-private-key-file="$dir/keys/server.key" --cert-dir="$dir/keys" \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$dir/keys/accounts.pub" \
    --service-account-signing-key-file="$dir/keys/accounts.key" --service-cluster-ip-range="$services" \
    --token-auth-file="$dir/keys/tokens.csv" --authorization-mode=Node,RBAC --allow-privileged=true \
    --kubelet-preferred-address-types=InternalIP --audit-policy-file="$dir/audit.yaml" --audit-log-path="$dir/audit.log"
  until_true kube-apiserver "kubectl get --raw /readyz"
  start kube-controller-manager --kubeconfig="$KUBECONFIG" --root-ca-file="$dir/keys/ca.crt" --leader-elect=false \
    --service-account-private-key-file="$dir/keys/accounts.key" --use-service-account-credentials=true \
    --cluster-signing-cert-file="$dir/keys/ca.crt" --cluster-signing-key-file="$dir/keys/ca.key" \
    --secure-port=0 "${limits[@]}"
  start kube-scheduler --kubeconfig="$KUBECONFIG" --leader-elect=false --secure-port=0 "${limits[@]}"
}

# In its own network the API server listens everywhere: Services lead to it at another address than its own users take.
listen() { if [ "$1" = "$node_ip" ]; then echo 0.0.0.0; else echo "$1"; fi; }

start_containerd() {
  write_containerd
  start containerd -c "$dir/containerd.toml"
}

start_node() {
  write_kubelet
  write_proxy
  write_dns
  until_true containerd "ctr -a $dir/containerd.sock version"
  busybox_image
  start kubelet --kubeconfig="$KUBECONFIG" --config="$dir/kubelet.yaml" --root-dir="$dir/kubelet" \
    --cert-dir="$dir/kubelet/pki" --hostname-override=node1 --node-ip="$node_ip"
  start kube-proxy --config="$dir/proxy.yaml"
  start coredns -conf "$dir/Corefile"
  kubectl apply -f "$dir/dns.yaml" >/dev/null
  until_true kubelet "kubectl get node node1 | grep -q ' Ready'"
}

# A program of the cluster, with its output in a file. It ends with this process.
start() { # program, arguments
  setpriv --pdeathsig KILL "$@" >"$dir/$1.log" 2>&1 </dev/null &
  process[$1]=$!
}

# Waits for something that a program brings about.
until_true() { # program, what to look for
  local begun=$SECONDS
  until eval "$2" >/dev/null 2>&1; do
    kill -0 "${process[$1]}" 2>/dev/null || stop "$1 has ended: $(tail -1 "$dir/$1.log")"
    [ $((SECONDS - begun)) -lt 90 ] || stop "$1 is not ready after 90 seconds: $(tail -1 "$dir/$1.log")"
    sleep 0.1
  done
}

# The cluster cannot be.
stop() { # why
  echo "cluster: $1" >"$dir/failed"
  exit 1
}

# Starts what is wanted later; processes that have lost their parent are taken in meanwhile.
serve_requests() { # mode
  local request
  exec 7<>"$dir/requests"
  while read -r request <&7; do
    case $request in
      kwok) [ -n "${process[kwok]:-}" ] || start kwok --kubeconfig="$KUBECONFIG" --manage-all-nodes=false \
        --manage-nodes-with-label-selector=type=kwok --server-address="" ;;
    esac
  done
}
