#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a Debian 12 guest that looks as if it came from another platform, and caches it.
set -euo pipefail
export PATH="/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8

usage() {
    cat <<'TEXT'
usage: build-guest.sh [--layout LAYOUT] [--force]
       build-guest.sh --two-disks       the same as --layout two-disks

Prints the folder that holds disk0.qcow2 (and disk1.qcow2).  Progress goes to standard error.
The folder is a cache below ${SLIPWAY_CACHE:-/var/cache/slipway-test}/guests: copy the disks before
use.  It is made anew when a file of tests/guests changes that it depends on, or with --force.
All layouts begin with one tree of files, which is kept there too.

The guest, as another platform would have left it:
  boot       MBR and GRUB; serial console on ttyS0; login root without a password
  disks      by layout; the names of the old platform are in /etc/fstab
  initramfs  vmw_pvscsi, ata_piix, sd_mod and what the layout needs: no virtio
  network    ens192, static 10.20.30.40/24, in /etc/network/interfaces
  agents     open-vm-tools; qemu-guest-agent, which starts only where its channel is
  marker     /var/lib/marker, with its sum in /var/lib/marker.sha256
  recorder   a service that appends a numbered, checksummed record to /var/log/records several
             times a second, each durable before the next, and tells some, and the last one, on
             the serial console
The hardware it expects is in guest.py: q35, pvscsi, vmxnet3 in slot 192.

Layouts:
TEXT
    for file in "$here"/layouts/*.sh; do
        printf '  %s\n' "$(basename "$file" .sh)"
        sed -n '2,${/^#/!q;s/^#/     /p}' "$file"
    done
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
layout=plain force=0
while (($#)); do
    case $1 in
    --layout) [[ $# -gt 1 ]] || { usage >&2; exit 2; }; layout=$2; shift ;;
    --two-disks) layout=two-disks ;;
    --force) force=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
[[ $layout =~ ^[a-z0-9-]+$ && -f $here/layouts/$layout.sh ]] || { usage >&2; exit 2; }

say() {
    printf 'guest: [%3d s] %s\n' "$SECONDS" "$*" >&2
}

fail() {
    printf 'build-guest.sh: %s\n' "$*" >&2
    exit 1
}

key_of() {
    cat "$@" | sha256sum | cut -c 1-12
}

cache=${SLIPWAY_CACHE:-/var/cache/slipway-test}/guests
key=$(key_of "$here"/*.sh "$here/layouts/plain.sh" "$here/layouts/$layout.sh" \
    $(find "$here/overlay" -type f | LC_ALL=C sort))
result=$cache/$layout-$key

mkdir -p "$cache" || fail "$cache cannot be made; set SLIPWAY_CACHE to a folder that can be written"
exec 9>"$cache/lock"
flock -n 9 || { say "another build is running, waiting for it"; flock 9; }
if [[ -f $result/done ]] && ! ((force)); then
    touch "$result/done"
    printf '%s\n' "$result"
    exit 0
fi
[[ $EUID == 0 ]] || fail "making a guest needs root"

work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM HUP
tree=$work/tree

finish() {
    local disk
    mkdir -p "$work/result"
    for disk in "$work"/disk*.raw; do
        qemu-img convert -f raw -O qcow2 -o compat=1.1 "$disk" \
            "$work/result/$(basename "$disk" .raw).qcow2"
        rm "$disk"
    done
    touch "$work/result/done"
    rm -rf "$result"
    mv "$work/result" "$result"
}

# What nothing asked for during a day was made from older files, or is a build that was killed.
prune() {
    find "$cache" -mindepth 2 -maxdepth 2 -name done -mmin +1440 -printf '%h\0' |
        xargs -0 -r rm -rf
    find "$cache" -mindepth 1 -maxdepth 1 \( -name 'base-*.tar' -o -name 'making.*' \) \
        -mmin +1440 -exec rm -rf {} +
}

. "$here/base-tree.sh"
. "$here/disk-parts.sh"
. "$here/layouts/$layout.sh"
kernel=
layout_tree
say "the tree is complete"
layout_disks
say "disks written"
finish
prune
say "done: $(du -sm "$result" | cut -f 1) MiB in $result"
printf '%s\n' "$result"
