# SPDX-License-Identifier: Apache-2.0
# /dev/sda1 btrfs: root with /boot in the subvolume @rootfs, /home in @home, and snapshots of the
# root as snapper keeps them, which look like roots as well; /dev/sda2 swap.
root_uuid=$(uuidgen) swap_uuid=$(uuidgen)
root_size=1536

layout_tree() {
    unpack_tree btrfs-progs
    cat >"$tree/etc/fstab" <<'TEXT'
/dev/sda1 / btrfs defaults,subvol=@rootfs 0 0
/dev/sda1 /home btrfs defaults,subvol=@home 0 0
/dev/sda1 /.snapshots btrfs subvol=@snapshots 0 0
/dev/sda2 none swap sw 0 0
TEXT
    make_initramfs btrfs
    mkdir "$tree/.snapshots"
    write_grub_config "$tree/boot" "$root_uuid" /@rootfs/boot \
        "root=/dev/sda1 rootflags=subvol=@rootfs"
}

layout_disks() {
    local disk=$work/disk0.raw
    new_disk 0 $((root_size + 65)) "label: dos
        start=1MiB, size=${root_size}MiB, type=83, bootable
        start=$((root_size + 1))MiB, type=82"
    truncate -s ${root_size}M "$work/btrfs"
    mkfs.btrfs -q -U "$root_uuid" -L root "$work/btrfs" >/dev/null
    # In a mount namespace of its own, so that nothing stays mounted however this ends.
    unshare --mount bash -ec '
        top=$1/top; mkdir "$top"
        mount -o loop "$1/btrfs" "$top"
        for name in @rootfs @home @snapshots; do
            btrfs -q subvolume create "$top/$name"
        done
        cp -a "$2/." "$top/@rootfs/"
        echo here >"$top/@home/at-home"
        for number in 1 2; do
            mkdir "$top/@snapshots/$number"
            btrfs -q subvolume snapshot -r "$top/@rootfs" "$top/@snapshots/$number/snapshot"
        done
        umount "$top"' bash "$work" "$tree" 9>&-
    put "$work/btrfs" "$disk" 1
    put_swap "$disk" $((root_size + 1)) 64 "$swap_uuid"
    install_grub "$disk" "$root_uuid" /@rootfs/boot btrfs
}
