# SPDX-License-Identifier: Apache-2.0
# /dev/sda1 /boot; /dev/sda2 LUKS with the root inside, opened at boot by a key file that is in
# the initramfs.  The key is beside the disks, as "key".
boot_uuid=$(uuidgen) root_uuid=$(uuidgen) luks_uuid=
luks_start=257 root_size=768

layout_tree() {
    unpack_tree cryptsetup-initramfs cryptsetup-bin
    printf '%s\n' '/dev/mapper/cryptroot / ext4 errors=remount-ro 0 1' \
        '/dev/sda1 /boot ext4 defaults 0 2' >"$tree/etc/fstab"
    mkdir -m 700 "$tree/etc/keys"
    head -c 48 /dev/urandom | base64 -w 0 >"$work/key"
    install -m 600 "$work/key" "$tree/etc/keys/root.key"
    echo 'KEYFILE_PATTERN="/etc/keys/*.key"' >>"$tree/etc/cryptsetup-initramfs/conf-hook"
    echo 'UMASK=0077' >>"$tree/etc/initramfs-tools/initramfs.conf"
    make_luks_header
    # Where the device is there, cryptsetup's hook writes its UUID into the initramfs.
    echo "cryptroot UUID=$luks_uuid /etc/keys/root.key luks,initramfs" >"$tree/etc/crypttab"
    make_initramfs ext4 dm_mod dm_crypt xts cbc aes_generic ecb sha256_generic algif_skcipher
    echo "cryptroot /dev/sda2 /etc/keys/root.key luks,initramfs" >"$tree/etc/crypttab"
    take_boot_out
    write_grub_config "$work/boot" "$boot_uuid" "" "root=/dev/mapper/cryptroot"
}

# QEMU writes LUKS without a device-mapper.  The header is made first, for its UUID; the
# filesystem is written into it later.
make_luks_header() {
    qemu-img create -q -f luks --object "secret,id=key,file=$work/key" \
        -o key-secret=key,iter-time=10,cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64 \
        "$work/luks" ${root_size}M
    luks_uuid=$(blkid -p -s UUID -o value "$work/luks")
}

layout_disks() {
    local disk=$work/disk0.raw
    truncate -s ${root_size}M "$work/root"
    put_ext4 "$work/root" 0 $root_size "$root_uuid" root "$tree" -N 65536
    qemu-img convert -n -f raw --object "secret,id=key,file=$work/key" "$work/root" \
        --target-image-opts "driver=luks,key-secret=key,file.filename=$work/luks"
    rm "$work/root"
    new_disk 0 1040 "label: dos
        start=1MiB, size=256MiB, type=83, bootable
        start=${luks_start}MiB, type=83"
    put_ext4 "$disk" 1 256 "$boot_uuid" boot "$work/boot"
    put "$work/luks" "$disk" $luks_start
    install_grub "$disk" "$boot_uuid" ""
    mkdir -p "$work/result"
    install -m 600 "$work/key" "$work/result/key"
}
