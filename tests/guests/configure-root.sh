#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# configure-root.sh TREE: turns a fresh Debian tree into the guest that build-guest.sh describes.
# mmdebstrap calls it with /proc, /sys and /dev in place.
set -euo pipefail
tree=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

cp -R "$here/overlay/." "$tree/"
chmod 755 "$tree/usr/local/sbin/recorder"
chown -R 0:0 "$tree/usr/local/sbin/recorder" "$tree/etc/systemd/system"

echo records >"$tree/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 records\n' >"$tree/etc/hosts"
: >"$tree/etc/machine-id"
chroot "$tree" passwd -q -d root

printf '/dev/sda1 / ext4 errors=remount-ro 0 1\n/dev/sda2 none swap sw 0 0\n' >"$tree/etc/fstab"
if [[ $TWO_DISKS == 1 ]]; then
    printf '/dev/sdb1 /srv ext4 defaults 0 2\n' >>"$tree/etc/fstab"
fi
cat >"$tree/etc/network/interfaces" <<'TEXT'
auto lo
iface lo inet loopback

auto ens192
iface ens192 inet static
    address 10.20.30.40/24
    gateway 10.20.30.1
TEXT

# What the old platform's installer left about its hardware.
mkdir -p "$tree/boot/grub/i386-pc"
cp "$tree"/usr/lib/grub/i386-pc/*.mod "$tree"/usr/lib/grub/i386-pc/*.lst "$tree/boot/grub/i386-pc/"
echo '(hd0) /dev/sda' >"$tree/boot/grub/device.map"
cat >"$tree/etc/default/grub" <<'TEXT'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="scsi_mod.scan=sync console=tty0 console=ttyS0,115200"
GRUB_TERMINAL="console serial"
TEXT

# An initramfs for that hardware only.  MODULES=dep, which an installer would have chosen, looks at
# the machine it runs on; here a list stands in while the initramfs is made.  sd_mod must be there
# before the disks are found, and they must be found one by one (scsi_mod.scan=sync on the kernel's
# command line), or sda and sdb may change places.
initramfs=$tree/etc/initramfs-tools
echo 'softdep vmw_pvscsi pre: sd_mod' >"$tree/etc/modprobe.d/disk-order.conf"
cp "$initramfs/modules" "$initramfs/modules.as-installed"
printf 'sd_mod\nvmw_pvscsi\nata_piix\next4\ncrc32c_generic\ncrc32c-intel\n' >>"$initramfs/modules"
sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=gzip/' "$initramfs/initramfs.conf"
echo update_initramfs=yes >"$initramfs/update-initramfs.conf"
chroot "$tree" update-initramfs -c -k "$(basename "$tree"/lib/modules/*)"
sed -i 's/^MODULES=.*/MODULES=dep/' "$initramfs/initramfs.conf"
mv "$initramfs/modules.as-installed" "$initramfs/modules"

# Services: the recorder on; what only costs boot time off.
chroot "$tree" systemctl -q enable recorder.service
chroot "$tree" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service \
    getty@tty1.service
rm -f "$tree"/var/cache/apt/*.bin "$tree"/var/lib/apt/lists/*Packages* "$tree"/var/log/*.log
