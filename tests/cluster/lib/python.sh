# shellcheck shell=bash
# An image with this machine's Python and bash, for programs that a notebook ships: local/python:1. Cairn's client lies in
# /opt/cairn, for who puts that into PYTHONPATH.

python_image() {
  local root=$cache/python
  has_pods
  mkdir -p "$cache"
  exec 8>"$cache/python.lock"
  flock 8
  if [ "$(cat "$root.key" 2>/dev/null || true)" != "$(python_key)" ]; then
    rm -rf "$root"
    python_root "$root"
    python_key >"$root.key"
  fi
  # Cairn's own client is as the repository has it now.
  rm -rf "$root/opt/cairn"
  mkdir -p "$root/opt/cairn"
  tar -C "$here/../../proto/python/src" --exclude=__pycache__ -c cairn | tar -C "$root/opt/cairn" -x
  import_image "$root" '["/bin/bash"]' local/python:1
  exec 8>&-
}

# Changes when the machine's Python does, or what is taken of it.
python_key() { { python3 -c 'import sys; print(sys.version, sys.base_prefix)' && cat "$here/lib/python.sh"; } | sha256sum; }

python_root() { # folder
  local root=$1 program library tool file
  read -r program library < <(python3 -c 'import os, sys, sysconfig
program = os.path.realpath(os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2]))
print(program, sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))')
  mkdir -p "$root"/{bin,usr/bin,etc,opt}
  mkdir -m 1777 "$root/tmp"
  tar -C / --exclude={site-packages,dist-packages,test,tests,__pycache__,idlelib,tkinter,ensurepip,lib2to3,'config-*','*.a'} \
    -c "${library#/}" | tar -C "$root" -x
  cp -L --parents "$program" "$(command -v bash)" "$root"
  # What programs and the parts of Python that are libraries load, and what packages from PyPI may take for granted.
  {
    for file in "$program" "$(command -v bash)" "$library"/lib-dynload/*.so; do
      ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true # one that loads nothing
    done
    ldconfig -p | grep -oE '/\S+/(librt\.so\.1|libpthread\.so\.0|libdl\.so\.2|libstdc\+\+\.so\.6|libgcc_s\.so\.1)$'
  } | sort -u | while read -r file; do cp -L --parents "$file" "$root"; done
  for tool in python python3; do ln -sf "$program" "$root/usr/bin/$tool"; done
  [ -e "$root/bin/bash" ] || ln -s "$(command -v bash)" "$root/bin/bash"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for tool in $(busybox --list); do
    [ -e "$root/bin/$tool" ] || [ -e "$root/usr/bin/$tool" ] || ln -s busybox "$root/bin/$tool"
  done
}
