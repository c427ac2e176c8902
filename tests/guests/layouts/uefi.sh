# SPDX-License-Identifier: Apache-2.0
# GPT: /dev/sda1 the EFI system partition on /boot/efi, /dev/sda2 root, /dev/sda3 swap.
# systemd-boot, started by a firmware entry of the old platform: EFI/BOOT is empty.
root_uuid=$(uuidgen) swap_uuid=$(uuidgen) esp_id=5A1D-0E01
machine_id=5f0c1d9a7c0b4b6f9d3e2a1b4c5d6e7f
esp_size=128

layout_tree() {
    unpack_tree systemd-boot-efi
    cat >"$tree/etc/fstab" <<'TEXT'
/dev/sda2 / ext4 errors=remount-ro 0 1
/dev/sda1 /boot/efi vfat umask=0077 0 1
/dev/sda3 none swap sw 0 0
TEXT
    echo $machine_id >"$tree/etc/machine-id"
    make_initramfs ext4
    make_esp
    rm -rf "$tree/boot/grub"
    mkdir "$tree/boot/efi"
}

# As kernel-install does it: kernels are copied onto the EFI system partition.
make_esp() {
    local esp=$work/esp arguments
    arguments=$(sed -n 's/^GRUB_CMDLINE_LINUX="\(.*\)"/\1/p' "$tree/etc/default/grub")
    mkdir -p "$esp/EFI/systemd" "$esp/EFI/BOOT" "$esp/loader/entries" "$esp/$machine_id/$kernel"
    cp "$tree/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$esp/EFI/systemd/"
    printf 'timeout 0\nconsole-mode keep\n' >"$esp/loader/loader.conf"
    cp "$tree/boot/vmlinuz-$kernel" "$esp/$machine_id/$kernel/linux"
    cp "$tree/boot/initrd.img-$kernel" "$esp/$machine_id/$kernel/initrd.img-$kernel"
    cat >"$esp/loader/entries/$machine_id-$kernel.conf" <<TEXT
title      Debian GNU/Linux 12 (bookworm)
version    $kernel
machine-id $machine_id
options    root=/dev/sda2 ro $arguments
linux      /$machine_id/$kernel/linux
initrd     /$machine_id/$kernel/initrd.img-$kernel
TEXT
    mkdir -p "$tree/etc/kernel"
    echo "root=/dev/sda2 ro $arguments" >"$tree/etc/kernel/cmdline"
    truncate -s ${esp_size}M "$work/esp.fs"
    mkfs.vfat -F 32 -i "${esp_id/-/}" -n ESP "$work/esp.fs" >/dev/null
    (cd "$esp" && mcopy -s -i "$work/esp.fs" ./* ::)
}

layout_disks() {
    local disk=$work/disk0.raw
    new_disk 0 2048 "label: gpt
        start=1MiB, size=${esp_size}MiB, type=U
        start=$((esp_size + 1))MiB, size=1792MiB, type=L
        start=$((esp_size + 1793))MiB, size=64MiB, type=S"
    put "$work/esp.fs" "$disk" 1
    put_ext4 "$disk" $((esp_size + 1)) 1792 "$root_uuid" root "$tree" -N 65536
    put_swap "$disk" $((esp_size + 1793)) 64 "$swap_uuid"
}
