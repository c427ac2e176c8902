# SPDX-License-Identifier: Apache-2.0
# The system over two disks: /dev/sda1 root with /boot; /dev/sdb1 /usr, /dev/sdb2 /var.
root_uuid=$(uuidgen) usr_uuid=$(uuidgen) var_uuid=$(uuidgen)

layout_tree() {
    unpack_tree
    cat >"$tree/etc/fstab" <<'TEXT'
/dev/sda1 /    ext4 errors=remount-ro 0 1
/dev/sdb1 /usr ext4 defaults 0 2
/dev/sdb2 /var ext4 defaults 0 2
TEXT
    make_initramfs ext4
    write_grub_config "$tree/boot" "$root_uuid" /boot "root=/dev/sda1"
}

layout_disks() {
    new_disk 0 512 "label: dos
        start=1MiB, type=83, bootable"
    new_disk 1 1536 "label: dos
        start=1MiB, size=1023MiB, type=83
        start=1024MiB, type=83"
    install_grub "$work/disk0.raw" "$root_uuid" /boot
    mkdir "$work/usr" "$work/var"
    (shopt -s dotglob && mv "$tree"/usr/* "$work/usr/" && mv "$tree"/var/* "$work/var/")
    put_ext4 "$work/disk0.raw" 1 511 "$root_uuid" root "$tree"
    put_ext4 "$work/disk1.raw" 1 1023 "$usr_uuid" usr "$work/usr" -N 65536
    put_ext4 "$work/disk1.raw" 1024 512 "$var_uuid" var "$work/var"
}
