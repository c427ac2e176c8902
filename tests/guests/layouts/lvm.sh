# SPDX-License-Identifier: Apache-2.0
# /dev/sda1 /boot; /dev/sda2 the volume group vg0 with root (XFS) and swap.
boot_uuid=$(uuidgen) root_uuid=$(uuidgen) swap_uuid=$(uuidgen)
pv_start=257 root_size=1792 swap_size=64

layout_tree() {
    unpack_tree lvm2
    cat >"$tree/etc/fstab" <<'TEXT'
/dev/mapper/vg0-root / xfs defaults 0 0
/dev/sda1 /boot ext4 defaults 0 2
/dev/vg0/swap none swap sw 0 0
TEXT
    make_initramfs ext4 xfs dm_mod
    take_boot_out
    write_grub_config "$work/boot" "$boot_uuid" "" "root=/dev/mapper/vg0-root"
}

# A host without device-mapper can write LVM's metadata all the same: volumes are laid out one
# after the other, the first extent begins 1 MiB behind the partition's start.
write_volume_group() {
    local loop config
    loop=$(losetup -f --show -o $((pv_start * mib)) "$work/disk0.raw")
    config="devices { filter=[\"a|$loop|\",\"r|.*|\"] use_devicesfile=0 }
            activation { udev_sync=0 udev_rules=0 } backup { backup=0 archive=0 }"
    (
        trap 'losetup -d "$loop"' EXIT
        lvm pvcreate -q --driverloaded n --config "$config" "$loop"
        lvm vgcreate -q --driverloaded n --config "$config" vg0 "$loop"
        for volume in root swap; do
            size=${volume}_size
            lvm lvcreate -q --driverloaded n --config "$config" -an -Zn -Wn \
                -L "${!size}m" -n "$volume" vg0
        done
    ) >"$work/lvm.log" 2>&1 9>&- || { cat "$work/lvm.log" >&2; fail "LVM's metadata failed"; }
}

layout_disks() {
    local disk=$work/disk0.raw
    new_disk 0 2176 "label: dos
        start=1MiB, size=256MiB, type=83, bootable
        start=${pv_start}MiB, type=8e"
    put_ext4 "$disk" 1 256 "$boot_uuid" boot "$work/boot"
    write_volume_group
    put_xfs "$disk" $((pv_start + 1)) $root_size "$root_uuid" root "$tree"
    put_swap "$disk" $((pv_start + 1 + root_size)) $swap_size "$swap_uuid"
    install_grub "$disk" "$boot_uuid" ""
}
