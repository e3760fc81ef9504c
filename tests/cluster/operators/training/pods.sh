# shellcheck shell=bash
# What pods of jobs need that the cluster has not.

# The launcher of an MPIJob asks for 5 GB of disk, which this node does not count.
(offer ephemeral-storage 100Gi)

# How the launcher of an MPIJob gets the kubectl by which it reaches its workers. The operator's own image is not to be had
# here, and starts the launcher whether workers are there or not.
delivery=$work/delivery
mkdir -p "$delivery"/{bin,tmp}
cp "$(command -v busybox)" "$bin/kubectl" "$delivery/bin/"
for tool in sh cp cut; do ln -sf busybox "$delivery/bin/$tool"; done
cat >"$delivery/deliver" <<'D'
for worker in $(cut -d' ' -f1 /etc/mpi/hostfile); do
  kubectl wait --for=condition=Ready "pod/$worker" --timeout=120s || exit 1
done
cp /bin/kubectl "$TARGET_DIR/kubectl"
D
image local/kubectl-delivery:1 "$delivery" '["/bin/sh", "-e", "/deliver"]'
