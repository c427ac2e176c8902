#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a guest of the Red Hat kind that looks as if it came from another platform, and caches it.
set -euo pipefail
export PATH="/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8

usage() {
    cat <<'TEXT'
usage: redhat-like/build.sh [--force]

Prints the folder that holds disk0.qcow2.  Progress goes to standard error.  The folder is a cache
below ${SLIPWAY_CACHE:-/var/cache/slipway-test}/guests: copy the disk before use.  It is made anew
when this file changes, or with --force.

No packages of that family are at hand, so the programs are Debian's, and it is no real Rocky
Linux; what slipway-morph looks at is as there:
  identity   os-release and redhat-release of Rocky Linux 9.3, no debian_version
  boot       MBR and GRUB in /boot/grub2; serial console on ttyS0; login root without a password
  initramfs  /boot/initramfs-VERSION.img, made by dracut, systemd inside, zstd; vmw_pvscsi,
             ata_piix and sd_mod only: no virtio
  network    ens192, static 10.20.30.41/24, as a keyfile of NetworkManager
  agent      qemu-guest-agent, which starts only where its channel is
TEXT
}

force=0
case ${1:-} in
'') ;;
--force) force=1 ;;
-h | --help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac

disk_mib=2048 mib=$((1024 * 1024))
cache=${SLIPWAY_CACHE:-/var/cache/slipway-test}/guests
key=$(sha256sum <"${BASH_SOURCE[0]}" | cut -c 1-12)
result=$cache/redhat-like-$key

say() {
    printf 'guest: [%3d s] %s\n' "$SECONDS" "$*" >&2
}

fail() {
    printf 'redhat-like/build.sh: %s\n' "$*" >&2
    exit 1
}

mkdir -p "$cache" || fail "$cache cannot be made; set SLIPWAY_CACHE to a folder that can be written"
exec 9>"$cache/redhat-like.lock"
flock 9
if [[ -f $result/done ]] && ! ((force)); then
    touch "$result/done"
    printf '%s\n' "$result"
    exit 0
fi
[[ $EUID == 0 ]] || fail "making a guest needs root"

work=$(mktemp -d "$cache/making.XXXXXX")
tree=$work/tree
unmount() {
    for directory in dev proc; do
        ! mountpoint -q "$tree/$directory" || umount "$tree/$directory"
    done
}
trap 'unmount; rm -rf "$work"' EXIT
trap 'exit 143' INT TERM HUP

# The package sources of this machine, so that its mirror is used; Debian's own when unknown.
package_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' 2>/dev/null |
        grep '^deb http.* bookworm main$' | sort -u || true
}

packages=systemd,systemd-sysv,udev,dbus,iproute2,netbase,procps,kmod,e2fsprogs,zstd,network-manager
packages+=,dracut,linux-image-cloud-amd64,grub-pc-bin,grub2-common,qemu-guest-agent

# The kernel's package must not make an initramfs: a hook of ours stands where dracut's would be.
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
        --essential-hook='mkdir -p "$1/etc/kernel/postinst.d"' \
        --essential-hook='printf "#!/bin/sh\n" >"$1/etc/kernel/postinst.d/dracut"' \
        --essential-hook='chmod 755 "$1/etc/kernel/postinst.d/dracut"' \
        --dpkgopt=force-confold --include="$packages" \
        bookworm "$tree" "$lists" </dev/null >"$work/mmdebstrap.log" 2>&1 || {
        tail -n 40 "$work/mmdebstrap.log" >&2
        fail "mmdebstrap could not make the tree"
    }
    say "$(du -sm "$tree" | cut -f 1) MiB of files"
}

write_identity() {
    rm -f "$tree/etc/os-release" "$tree/usr/lib/os-release" "$tree/etc/debian_version"
    cat >"$tree/usr/lib/os-release" <<'TEXT'
NAME="Rocky Linux"
VERSION="9.3 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.3"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Rocky Linux 9.3 (Blue Onyx)"
TEXT
    ln -s ../usr/lib/os-release "$tree/etc/os-release"
    echo 'Rocky Linux release 9.3 (Blue Onyx)' >"$tree/etc/redhat-release"
    echo rocky >"$tree/etc/hostname"
    printf '127.0.0.1 localhost rocky\n' >"$tree/etc/hosts"
    : >"$tree/etc/machine-id"
    chroot "$tree" passwd -q -d root
}

write_network() {
    local folder=$tree/etc/NetworkManager/system-connections
    mkdir -p "$folder"
    cat >"$folder/ens192.nmconnection" <<'TEXT'
[connection]
id=ens192
uuid=8b1ad9a5-2d2f-4b8c-8d0a-0c5f9d1b7a41
type=ethernet
interface-name=ens192

[ipv4]
method=manual
address1=10.20.30.41/24,10.20.30.1

[ipv6]
method=disabled
TEXT
    chmod 600 "$folder/ens192.nmconnection"
}

# hostonly, which an installer would have chosen, looks at the machine dracut runs on; here what it
# would have found is named.  --omit qemu and the list keep virtio out.
make_initramfs() {
    local kernel=$1 image=/boot/initramfs-$1.img
    mount -t proc proc "$tree/proc"
    mount --bind /dev "$tree/dev"
    chroot "$tree" dracut -q --force --no-hostonly --zstd --filesystems ext4 \
        --omit 'plymouth network network-legacy network-manager qemu qemu-net nfs lvm mdraid dmraid
                crypt btrfs multipath iscsi fcoe nvmf biosdevname' \
        --omit-drivers 'virtio virtio_ring virtio_blk virtio_scsi virtio_pci virtio_net
                        virtio_pci_legacy_dev virtio_pci_modern_dev virtio_console virtio_mmio
                        virtio_rng virtio_mem virtio_pmem virtiofs virtio_balloon virtio_input
                        virtio_dma_buf virtio_gpu virtio_crypto virtio_iommu virtio_vdpa' \
        --add-drivers 'vmw_pvscsi ata_piix sd_mod ext4 crc32c_generic' "$image" "$kernel" \
        >"$work/dracut.log" 2>&1 || { tail -n 20 "$work/dracut.log" >&2; fail "dracut failed"; }
    chroot "$tree" lsinitrd "$image" >"$work/content"
    ! grep -q 'virtio[^ ]*\.ko' "$work/content" || fail "virtio is in the initramfs all the same"
    grep -q 'vmw_pvscsi\.ko' "$work/content" || fail "vmw_pvscsi is not in the initramfs"
    unmount
    rm -f "$tree"/boot/initrd.img-*
    say "initramfs of $(($(stat -c %s "$tree$image") / 1024)) KiB"
}

write_grub() {
    local kernel=$1 uuid=$2
    local arguments='console=tty0 console=ttyS0,115200'
    rm -rf "$tree/boot/grub"
    mkdir -p "$tree/boot/grub2/i386-pc"
    cp "$tree"/usr/lib/grub/i386-pc/*.mod "$tree"/usr/lib/grub/i386-pc/*.lst \
        "$tree/boot/grub2/i386-pc/"
    printf 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="%s"\n' "$arguments" >"$tree/etc/default/grub"
    cat >"$tree/boot/grub2/grub.cfg" <<CONFIG
set timeout=0
serial --unit=0 --speed=115200
terminal_output console serial
insmod part_msdos
insmod ext2
search --no-floppy --fs-uuid --set=root $uuid
menuentry 'Rocky Linux' {
    linux /boot/vmlinuz-$kernel root=UUID=$uuid ro $arguments
    initrd /boot/initramfs-$kernel.img
}
CONFIG
}

# As in the other guests: GRUB's first sector says that the rest starts in sector 1.
install_grub() {
    local disk=$1 uuid=$2 modules=$tree/usr/lib/grub/i386-pc
    printf 'search --no-floppy --fs-uuid --set=root %s\nset prefix=($root)/boot/grub2\n' "$uuid" \
        >"$work/early.cfg"
    grub-mkimage -O i386-pc -d "$modules" -c "$work/early.cfg" -p /boot/grub2 -o "$work/core.img" \
        biosdisk part_msdos ext2 search search_fs_uuid normal linux configfile serial terminal
    /usr/bin/python3 - "$disk" "$modules/boot.img" "$work/core.img" <<'PYTHON'
import struct
import sys

disk, boot_path, core_path = sys.argv[1:]
boot = bytearray(open(boot_path, "rb").read(440))
struct.pack_into("<Q", boot, 0x5C, 1)      # sector of the core image
boot[0x64] = 0xFF                          # the drive the BIOS booted from
boot[0x66:0x68] = b"\x90\x90"              # believe the BIOS about the drive number
core = bytearray(open(core_path, "rb").read())
sectors = -(-len(core) // 512)
if sectors >= 2047:
    sys.exit("GRUB's core image does not fit in front of the first partition")
struct.pack_into("<QHH", core, 512 - 12, 2, sectors - 1, 0x820)
with open(disk, "r+b") as file:
    file.write(boot)
    file.seek(512)
    file.write(core)
PYTHON
}

make_disk() {
    local disk=$work/disk0.raw uuid=$1
    truncate -s ${disk_mib}M "$disk"
    printf 'label: dos\nstart=1MiB, type=83, bootable\n' | sfdisk -q "$disk"
    mkfs.ext4 -q -F -U "$uuid" -L root -N 65536 -J size=16 -d "$tree" \
        -E offset=$mib,lazy_itable_init=0,lazy_journal_init=0,nodiscard "$disk" \
        $(((disk_mib - 1) * 1024))k
    install_grub "$disk" "$uuid"
}

make_tree
kernel=$(basename "$tree"/lib/modules/*) uuid=$(uuidgen)
write_identity
write_network
printf '/dev/sda1 / ext4 defaults 0 1\n' >"$tree/etc/fstab"
make_initramfs "$kernel"
write_grub "$kernel" "$uuid"
chroot "$tree" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer NetworkManager-wait-online.service \
    getty@tty1.service
rm -f "$tree"/var/cache/apt/*.bin "$tree"/var/lib/apt/lists/*Packages* "$tree"/var/log/*.log
make_disk "$uuid"
say "disk written"
mkdir "$work/result"
qemu-img convert -f raw -O qcow2 -o compat=1.1 "$work/disk0.raw" "$work/result/disk0.qcow2"
touch "$work/result/done"
rm -rf "$result"
mv "$work/result" "$result"
find "$cache" -mindepth 1 -maxdepth 1 -name 'redhat-like-*' ! -name "redhat-like-$key" \
    -type d -exec rm -rf {} +
say "done: $(du -sm "$result" | cut -f 1) MiB in $result"
printf '%s\n' "$result"
