# SPDX-License-Identifier: Apache-2.0
# Sourced by build-guest.sh: pieces that the layouts put their disks together from.  Sizes and
# places are in MiB.  No device-mapper, no partitions in the kernel, no appliance.

mib=$((1024 * 1024))
ext4_options=lazy_itable_init=0,lazy_journal_init=0,nodiscard

# new_disk NUMBER SIZE SFDISK-SCRIPT: $work/diskNUMBER.raw with these partitions.
new_disk() {
    truncate -s "$2M" "$work/disk$1.raw"
    printf '%s\n' "$3" | sfdisk -q "$work/disk$1.raw"
}

# put FILE DISK START
put() {
    dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none
}

# put_ext4 DISK START SIZE UUID LABEL FOLDER [MKFS-OPTION...]
put_ext4() {
    local disk=$1 start=$2 size=$3 uuid=$4 label=$5 folder=$6
    shift 6
    mkfs.ext4 -q -F -U "$uuid" -L "$label" -d "$folder" -J size=4 "$@" \
        -E offset=$((start * mib)),$ext4_options "$disk" $((size * 1024))k
}

# put_xfs DISK START SIZE UUID LABEL FOLDER
put_xfs() {
    truncate -s "$3M" "$work/xfs"
    mkfs.xfs -q -m "uuid=$4" -L "$5" "$work/xfs"
    # In a mount namespace of its own, so that nothing stays mounted however this ends.
    unshare --mount bash -ec '
        mkdir "$1/top"
        mount -o loop "$1/xfs" "$1/top"
        cp -a "$2/." "$1/top/"
        umount "$1/top"
        rmdir "$1/top"' bash "$work" "$6" 9>&-
    put "$work/xfs" "$1" "$2"
    rm "$work/xfs"
}

# put_swap DISK START SIZE UUID
put_swap() {
    truncate -s "$3M" "$work/swap"
    mkswap -q -U "$4" "$work/swap" 2>/dev/null
    put "$work/swap" "$1" "$2"
    rm "$work/swap"
}

# The tree's /boot, for a filesystem of its own; the tree keeps an empty folder.
take_boot_out() {
    mkdir "$work/boot"
    (shopt -s dotglob && mv "$tree"/boot/* "$work/boot/")
}

# write_grub_config FOLDER UUID PLACE ROOT-ARGUMENTS: FOLDER/grub/grub.cfg, for a /boot that GRUB
# finds as PLACE on the filesystem UUID.
write_grub_config() {
    local folder=$1 uuid=$2 place=$3 arguments
    arguments=$(sed -n 's/^GRUB_CMDLINE_LINUX="\(.*\)"/\1/p' "$tree/etc/default/grub")
    cat >"$folder/grub/grub.cfg" <<CONFIG
set timeout=0
serial --unit=0 --speed=115200
terminal_output console serial
insmod part_msdos
insmod ext2
search --no-floppy --fs-uuid --set=root $uuid
menuentry 'Debian GNU/Linux' {
    linux $place/vmlinuz-$kernel $4 ro $arguments
    initrd $place/initrd.img-$kernel
}
CONFIG
}

# install_grub DISK UUID PLACE [MODULE...]
# GRUB's first sector goes into the MBR and is told that the rest starts in sector 1; the rest is
# told where its own second sector is.  This is what grub-install does, without a block device.
install_grub() {
    local disk=$1 uuid=$2 place=$3 modules=$tree/usr/lib/grub/i386-pc
    shift 3
    printf 'search --no-floppy --fs-uuid --set=root %s\nset prefix=($root)%s/grub\n' \
        "$uuid" "$place" >"$work/early.cfg"
    grub-mkimage -O i386-pc -d "$modules" -c "$work/early.cfg" -p "$place/grub" \
        -o "$work/core.img" biosdisk part_msdos search search_fs_uuid normal linux configfile \
        serial terminal "${@:-ext2}"
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
