# SPDX-License-Identifier: Apache-2.0
# /dev/sda1 root, /dev/sda2 swap; MBR and GRUB.
root_uuid=$(uuidgen) swap_uuid=$(uuidgen)

layout_tree() {
    unpack_tree
    printf '/dev/sda1 / ext4 errors=remount-ro 0 1\n/dev/sda2 none swap sw 0 0\n' \
        >"$tree/etc/fstab"
    make_initramfs ext4
    write_grub_config "$tree/boot" "$root_uuid" /boot "root=UUID=$root_uuid"
}

layout_disks() {
    local disk=$work/disk0.raw
    new_disk 0 2048 "label: dos
        start=1MiB, size=1983MiB, type=83, bootable
        start=1984MiB, type=82"
    put_ext4 "$disk" 1 1983 "$root_uuid" root "$tree" -N 65536 -J size=16
    put_swap "$disk" 1984 64 "$swap_uuid"
    install_grub "$disk" "$root_uuid" /boot
}
