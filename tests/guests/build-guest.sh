#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a Debian 12 guest that looks as if it came from another platform, and caches it.
set -euo pipefail
export PATH="/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8

usage() {
    cat <<'TEXT'
usage: build-guest.sh [--two-disks] [--force]

Prints the folder that holds disk0.qcow2 (and disk1.qcow2).  Progress goes to standard error.
The folder is a cache below ${SLIPWAY_CACHE:-/var/cache/slipway-test}/guests: copy the disks before
use.  It is made anew when a file of tests/guests changes, or with --force.

The guest, as another platform would have left it:
  boot       MBR and GRUB; serial console on ttyS0; login root without a password
  disks      /dev/sda1 root, /dev/sda2 swap (2 GiB); with --two-disks /dev/sdb1 on /srv
             (512 MiB); those names are in /etc/fstab
  initramfs  vmw_pvscsi, ata_piix and sd_mod only: no virtio
  network    ens192, static 10.20.30.40/24, in /etc/network/interfaces
  agents     open-vm-tools; qemu-guest-agent, which starts only where its channel is
  recorder   a service that appends a numbered, checksummed record to /var/log/records several
             times a second, each durable before the next, and tells some, and the last one, on
             the serial console
The hardware it expects is in guest.py: q35, pvscsi, vmxnet3 in slot 192.
TEXT
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
two_disks=0 force=0
for argument in "$@"; do
    case $argument in
    --two-disks) two_disks=1 ;;
    --force) force=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done

root_mib=2048 swap_mib=64 data_mib=512
mib=$((1024 * 1024))
cache=${SLIPWAY_CACHE:-/var/cache/slipway-test}/guests
sources=$(find "$here" -type f ! -name '*.pyc' | LC_ALL=C sort)
key=$(cat $sources | sha256sum | cut -c 1-12)
name=debian-12-$key
((two_disks)) && name+=-two-disks
result=$cache/$name

say() {
    printf 'guest: [%3d s] %s\n' "$SECONDS" "$*" >&2
}

fail() {
    printf 'build-guest.sh: %s\n' "$*" >&2
    exit 1
}

mkdir -p "$cache" || fail "$cache cannot be made; set SLIPWAY_CACHE to a folder that can be written"
exec 9>"$cache/lock"
flock -n 9 || { say "another build is running, waiting for it"; flock 9; }
if [[ -f $result/done ]] && ! ((force)); then
    printf '%s\n' "$result"
    exit 0
fi
[[ $EUID == 0 ]] || fail "making a guest needs root"

work=$(mktemp -d "$cache/making.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 143' INT TERM HUP
tree=$work/tree

# The package sources of this machine, so that its mirror is used; Debian's own when unknown.
package_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' 2>/dev/null |
        grep '^deb http.* bookworm main$' | sort -u || true
}

# ── the tree ─────────────────────────────────────────────────────────────────────────────────────

packages=systemd,systemd-sysv,udev,dbus,ifupdown,iproute2,iputils-ping,netbase,procps,kmod,e2fsprogs
packages+=,initramfs-tools,linux-image-cloud-amd64,grub-pc-bin,grub2-common
packages+=,open-vm-tools,qemu-guest-agent

make_tree() {
    local lists=$work/sources.list
    package_sources >"$lists"
    [[ -s $lists ]] || echo 'deb http://deb.debian.org/debian bookworm main' >"$lists"
    say "fetching and unpacking Debian packages"
    mmdebstrap --mode=root --format=directory --variant=minbase \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Sandbox::User "root"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools"' \
        --essential-hook='cd "$1/etc/initramfs-tools"
                          echo update_initramfs=no >update-initramfs.conf' \
        --dpkgopt=force-confold --include="$packages" \
        --customize-hook="TWO_DISKS=$two_disks $here/configure-root.sh \"\$1\"" \
        bookworm "$tree" "$lists" </dev/null 2>&1 | tee "$work/mmdebstrap.log" |
        sed -u -n 's/^I: \(.*\)\.\.\.$/guest:         \1/p' >&2 || {
        tail -n 40 "$work/mmdebstrap.log" >&2
        fail "mmdebstrap could not make the tree"
    }
    say "$(du -sm "$tree" | cut -f 1) MiB of files"
}

# ── the disks ────────────────────────────────────────────────────────────────────────────────────

root_uuid=$(uuidgen) swap_uuid=$(uuidgen) data_uuid=$(uuidgen)
ext4_options=lazy_itable_init=0,lazy_journal_init=0,nodiscard

write_grub_config() {
    local version arguments
    arguments=$(sed -n 's/^GRUB_CMDLINE_LINUX="\(.*\)"/\1/p' "$tree/etc/default/grub")
    version=$(basename "$tree"/lib/modules/*)
    cat >"$tree/boot/grub/grub.cfg" <<CONFIG
set timeout=0
serial --unit=0 --speed=115200
terminal_output console serial
insmod part_msdos
insmod ext2
search --no-floppy --fs-uuid --set=root $root_uuid
menuentry 'Debian GNU/Linux' {
    linux /boot/vmlinuz-$version root=UUID=$root_uuid ro $arguments
    initrd /boot/initrd.img-$version
}
CONFIG
}

# GRUB's first sector goes into the MBR and is told that the rest starts in sector 1; the rest is
# told where its own second sector is.  This is what grub-install does, without a block device.
install_grub() {
    local disk=$1 modules=$tree/usr/lib/grub/i386-pc
    printf 'search --no-floppy --fs-uuid --set=root %s\nset prefix=($root)/boot/grub\n' \
        "$root_uuid" >"$work/early.cfg"
    grub-mkimage -O i386-pc -d "$modules" -c "$work/early.cfg" -p /boot/grub -o "$work/core.img" \
        biosdisk part_msdos ext2 search search_fs_uuid normal linux configfile serial terminal
    /usr/bin/python3 - "$disk" "$modules/boot.img" "$work/core.img" <<'PYTHON'
import struct
import sys

disk, boot_path, core_path = sys.argv[1:]
SECTOR, FIRST_PARTITION = 512, 2048
boot = bytearray(open(boot_path, "rb").read(440))
struct.pack_into("<Q", boot, 0x5C, 1)      # sector of the core image
boot[0x64] = 0xFF                          # the drive the BIOS booted from
boot[0x66:0x68] = b"\x90\x90"              # believe the BIOS about the drive number
core = bytearray(open(core_path, "rb").read())
sectors = -(-len(core) // SECTOR)
if sectors >= FIRST_PARTITION - 1:
    sys.exit("GRUB's core image does not fit in front of the first partition")
struct.pack_into("<QHH", core, SECTOR - 12, 2, sectors - 1, 0x820)
with open(disk, "r+b") as file:
    file.write(boot)
    file.seek(SECTOR)
    file.write(core)
PYTHON
}

make_root_disk() {
    local disk=$work/disk0.raw swap_start=$((root_mib - swap_mib))
    write_grub_config
    truncate -s ${root_mib}M "$disk"
    printf 'label: dos\nstart=1MiB, size=%dMiB, type=83, bootable\nstart=%dMiB, type=82\n' \
        $((swap_start - 1)) $swap_start | sfdisk -q "$disk"
    mkfs.ext4 -q -F -U "$root_uuid" -L root -N 65536 -J size=16 -d "$tree" \
        -E offset=$mib,$ext4_options "$disk" $(((swap_start - 1) * 1024))k
    truncate -s ${swap_mib}M "$work/swap"
    mkswap -q -U "$swap_uuid" "$work/swap" 2>/dev/null
    dd if="$work/swap" of="$disk" bs=1M seek=$swap_start conv=notrunc,sparse status=none
    install_grub "$disk"
}

# Files of random bytes, so that there is something to move that does not compress away.
make_data_disk() {
    local disk=$work/disk1.raw
    mkdir "$work/data" "$work/data/archive"
    for number in 1 2 3 4 5 6; do
        head -c 16M /dev/urandom >"$work/data/archive/$number.bin"
    done
    (cd "$work/data" && sha256sum archive/*.bin >archive.sha256)
    truncate -s ${data_mib}M "$disk"
    printf 'label: dos\nstart=1MiB, type=83\n' | sfdisk -q "$disk"
    mkfs.ext4 -q -F -U "$data_uuid" -L data -N 4096 -J size=4 -d "$work/data" \
        -E offset=$mib,$ext4_options "$disk" $(((data_mib - 1) * 1024))k
}

finish() {
    local number
    mkdir "$work/result"
    for number in 0 1; do
        [[ -f $work/disk$number.raw ]] || continue
        qemu-img convert -f raw -O qcow2 -o compat=1.1 "$work/disk$number.raw" \
            "$work/result/disk$number.qcow2"
        rm "$work/disk$number.raw"
    done
    touch "$work/result/done"
    rm -rf "$result"
    mv "$work/result" "$result"
    # Guests of older versions of these files are of no use any more.
    find "$cache" -mindepth 1 -maxdepth 1 -name 'debian-12-*' ! -name "debian-12-$key*" \
        -exec rm -rf {} +
}

make_tree
make_root_disk
say "root disk written"
if ((two_disks)); then
    make_data_disk
    say "data disk written"
fi
finish
say "done: $(du -sm "$result" | cut -f 1) MiB in $result"
printf '%s\n' "$result"
