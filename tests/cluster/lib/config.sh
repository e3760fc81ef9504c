# shellcheck shell=bash
# The files that the programs read. Addresses are of documentation ranges (RFC 5737), so that nothing outside can be meant.

node_ip=192.0.2.129 pods=192.0.2.0/25 services=198.51.100.0/24 first_service=198.51.100.1 dns=198.51.100.10

# Keys, and a certificate of the API server that clients can check.
write_keys() { # address that the API server listens on
  local token
  token=$(openssl rand -hex 16)
  mkdir -p "$dir/keys"
  {
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=cluster" -keyout "$dir/keys/ca.key" -out "$dir/keys/ca.crt"
    openssl req -newkey rsa:2048 -nodes -subj "/CN=kube-apiserver" -keyout "$dir/keys/server.key" -out "$dir/keys/server.csr"
    openssl x509 -req -in "$dir/keys/server.csr" -CA "$dir/keys/ca.crt" -CAkey "$dir/keys/ca.key" -CAcreateserial -days 3650 \
      -out "$dir/keys/server.crt" -extfile <(echo "subjectAltName=IP:$1,IP:$node_ip,IP:127.0.0.1,IP:$first_service,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local")
    openssl genrsa -out "$dir/keys/accounts.key" 2048
    openssl rsa -in "$dir/keys/accounts.key" -pubout -out "$dir/keys/accounts.pub"
  } 2>"$dir/keys/openssl.log" || stop "openssl failed: $(tail -1 "$dir/keys/openssl.log")"
  echo "$token,admin,admin,\"system:masters\"" >"$dir/keys/tokens.csv"
  cat >"$dir/kubeconfig" <<K
apiVersion: v1
kind: Config
current-context: test
clusters:
- name: test
  cluster: {server: "https://$1:6443", certificate-authority-data: $(base64 -w0 "$dir/keys/ca.crt")}
users:
- name: admin
  user: {token: $token}
contexts:
- name: test
  context: {cluster: test, user: admin}
K
}

# Who has written what, one line a request; controllers and nodes are left out, and so is what says nothing of an object.
write_audit() {
  cat >"$dir/audit.yaml" <<K
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: None, verbs: [get, list, watch]}
- {level: None, userGroups: ["system:serviceaccounts", "system:nodes"]}
- level: None
  resources:
  - {group: "", resources: [events, nodes, nodes/status, pods/status, pods/binding]}
  - {group: events.k8s.io}
  - {group: coordination.k8s.io}
  - {group: authorization.k8s.io}
- {level: Metadata}
K
}

write_containerd() {
  mkdir -p "$dir/cni"
  snapshotter >"$dir/snapshotter"
  cat >"$dir/containerd.toml" <<K
version = 2
root = "$dir/containerd/root"
state = "$dir/containerd/state"
[grpc]
address = "$dir/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "$dir/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/local/busybox:1"
restrict_oom_score_adj = true # CAP_SYS_RESOURCE may be missing
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "$(cat "$dir/snapshotter")"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "$(dirname "$(command -v /usr/lib/cni/bridge /opt/cni/bin/bridge | head -1)")"
conf_dir = "$dir/cni"
K
  cat >"$dir/cni/10-bridge.conflist" <<K
{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
 "ipam": {"type": "host-local", "dataDir": "$dir/ipam", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
K
}

# How images become root folders: layered, or copied where layers would lie on layers, as in a container of Docker's.
snapshotter() {
  local work=$dir/layers
  mkdir -p "$work"/{lower,upper,work,merged}
  if mount -t overlay overlay -o "lowerdir=$work/lower,upperdir=$work/upper,workdir=$work/work" "$work/merged" 2>/dev/null; then
    umount "$work/merged"
    echo overlayfs
  else
    echo native
  fi
}

# Block YAML: what begins with a brace is read as JSON.
write_kubelet() {
  echo "nameserver $dns" >"$dir/resolv.conf"
  cat >"$dir/kubelet.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
readOnlyPort: 0
healthzPort: 0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$dir/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$(cgroup)
failCgroupV1: false # Kubernetes 1.35 and later refuse cgroup v1 altogether
failSwapOn: false
enforceNodeAllocatable: []
evictionHard: {nodefs.available: "1%"}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
clusterDNS: [$dns]
clusterDomain: cluster.local
resolvConf: $dir/resolv.conf
podLogsDir: $dir/podlogs
syncFrequency: 5s
serializeImagePulls: false
K
}

write_proxy() {
  cat >"$dir/proxy.yaml" <<K
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: node1
clientConnection: {kubeconfig: $dir/kubeconfig}
clusterCIDR: $pods
conntrack: {maxPerCore: 0, min: 0}
K
}

write_dns() {
  cat >"$dir/Corefile" <<K
.:53 {
  bind $node_ip
  errors
  kubernetes cluster.local {
    kubeconfig $dir/kubeconfig test
  }
}
K
  cat >"$dir/dns.yaml" <<K
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $dns, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$node_ip], conditions: {ready: true}}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
K
}
