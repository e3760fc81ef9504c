# shellcheck shell=bash
# An image with this machine's PostgreSQL: local/postgres:1. Its programs are found on the path and its user is 999, as in
# the images that people use.

postgres_image() {
  local root=$dir/postgres home shared file tool
  has_pods
  home=$(find /usr/lib/postgresql -maxdepth 1 -mindepth 1 2>/dev/null | sort -V | tail -n 1)
  shared=/usr/share/postgresql/${home##*/}
  [ -x "$home/bin/initdb" ] || fail "there is no PostgreSQL in /usr/lib/postgresql; Debian: apt-get install postgresql"
  mkdir -p "$root"/{bin,etc,usr/local/bin}
  mkdir -p -m 1777 "$root/tmp"
  echo "postgres:x:999:999::/var/lib/postgresql:/bin/sh" >"$root/etc/passwd"
  cp -rL --parents "$shared" "$home"/lib/{plpgsql,dict_snowball}.so /usr/share/zoneinfo/UTC "$root"
  for tool in postgres initdb pg_isready; do
    cp -L --parents "$home/bin/$tool" "$root"
    ln -sf "$home/bin/$tool" "$root/usr/local/bin/$tool"
  done
  cp "$(command -v busybox)" "$root/bin/busybox"
  for tool in sh rm mv kill; do ln -sf busybox "$root/bin/$tool"; done
  # With all that they load.
  for file in "$home"/bin/{postgres,initdb,pg_isready}; do
    ldd "$file" 2>/dev/null | grep -o '/[^ ]*'
  done | sort -u | while read -r file; do cp -L --parents "$file" "$root"; done
  import_image "$root" '["postgres"]' local/postgres:1
  rm -rf "$root"
}
