#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# configure-root.sh TREE: turns a fresh Debian tree into what the guests of build-guest.sh have in
# common.  mmdebstrap calls it with /proc, /sys and /dev in place.
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
cat >"$tree/etc/network/interfaces" <<'TEXT'
auto lo
iface lo inet loopback

auto ens192
iface ens192 inet static
    address 10.20.30.40/24
    gateway 10.20.30.1
TEXT

# A file that nobody has a reason to touch, and its sum.
head -c 300000 /dev/urandom >"$tree/var/lib/marker"
(cd "$tree/var/lib" && sha256sum marker >marker.sha256)

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

# sd_mod must be there before the disks are found, and they must be found one by one
# (scsi_mod.scan=sync on the kernel's command line), or sda and sdb may change places.
echo 'softdep vmw_pvscsi pre: sd_mod' >"$tree/etc/modprobe.d/disk-order.conf"
echo update_initramfs=yes >"$tree/etc/initramfs-tools/update-initramfs.conf"

# Services: the recorder on; what only costs boot time off.
chroot "$tree" systemctl -q enable recorder.service
chroot "$tree" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service \
    getty@tty1.service
rm -f "$tree"/var/cache/apt/*.bin "$tree"/var/lib/apt/lists/*Packages* "$tree"/var/log/*.log
