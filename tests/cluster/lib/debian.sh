# shellcheck shell=bash
# Images of Debian's packages, for programs that neither Go nor this machine's Python is.

# A root folder with packages and all they need. They are unpacked and nothing of them is run, so this machine's own
# packages stay as they are.
debian_root() { # folder, packages
  local root=$1 work deb folder
  command -v apt-get >/dev/null || fail "$(basename "$root") is made of Debian's packages, and this is no Debian"
  work=$(mktemp -d -p "$cache")
  mkdir -p "$work/archives/partial"
  : >"$work/status" # nothing is installed there yet
  apt-get -qq -o Dir::State::Status="$work/status" -o Dir::Cache::Archives="$work/archives" -o Debug::NoLocking=1 \
    -o APT::Sandbox::User=root install --download-only --no-install-recommends -y "${@:2}" >/dev/null ||
    fail "Debian's packages cannot be had: ${*:2}; try apt-get update"
  rm -rf "$root"
  mkdir -p "$root"/{etc,root,proc,dev,usr/local/bin}
  mkdir -m 1777 "$root/tmp"
  for folder in bin sbin lib lib64; do
    mkdir "$root/usr/$folder"
    ln -s "usr/$folder" "$root/$folder"
  done
  for deb in "$work"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
      tar -x --keep-directory-symlink --exclude=./usr/share/{doc,man,locale,icons} -C "$root"
  done
  rm -rf "$work"
  # What the packages would do for themselves.
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  ldconfig -r "$root"
}

openmpi_image() {
  has_pods
  build openmpi
  ln -sf ../../bin/orterun "$cache/openmpi/usr/local/bin/mpirun"
  import_image "$cache/openmpi" '["/bin/sh"]' local/openmpi:1
}
