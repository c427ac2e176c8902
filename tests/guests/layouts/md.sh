# SPDX-License-Identifier: Apache-2.0
# RAID1: root with /boot is /dev/md0 on /dev/sda1 and /dev/sdb1; swap on /dev/sda2 and /dev/sdb2.
root_uuid=$(uuidgen) md_uuid=$(uuidgen)
md_size=1200

layout_tree() {
    unpack_tree mdadm
    cat >"$tree/etc/fstab" <<'TEXT'
/dev/md0 / ext4 errors=remount-ro 0 1
/dev/sda2 none swap sw,pri=1 0 0
/dev/sdb2 none swap sw,pri=1 0 0
TEXT
    {
        printf 'HOMEHOST <system>\nMAILADDR root\n'
        printf 'ARRAY /dev/md0 metadata=1.0 UUID=%s name=records:0\n' \
            "$(sed 's/-//g; s/......../&:/g; s/:$//' <<<"$md_uuid")"
    } >"$tree/etc/mdadm/mdadm.conf"
    make_initramfs ext4 md_mod raid1
    write_grub_config "$tree/boot" "$root_uuid" /boot "root=/dev/md0"
}

# write_member IMAGE NUMBER: MD's superblock 1.0, which is 8 KiB before the end (md(4); struct
# mdp_superblock_1 in Linux's md_p.h), so that the filesystem begins where the partition does.
write_member() {
    /usr/bin/python3 - "$1" "$2" "$md_uuid" <<'PYTHON'
import os
import struct
import sys
import time
import uuid

path, number, array = sys.argv[1], int(sys.argv[2]), uuid.UUID(sys.argv[3]).bytes
sectors = os.path.getsize(path) // 512
place = (sectors - 16) & ~7
now, never = int(time.time()), (1 << 64) - 1
block = struct.pack("<4I16s32sQIiQII", 0xA92B4EFC, 1, 0, 0, array, b"records:0", now, 1, 0, place,
                    0, 2)
block += struct.pack("<iIQiIIi", 0, 0, 0, 0, 0, 0, 0)  # no bitmap, no reshape
block += struct.pack("<QQQQII16sBBHi", 0, place, place, 0, number, 0, uuid.uuid4().bytes,
                     0, 0, 0, 0)
block += struct.pack("<QQQII32s", now, 1, never, 0, 2, bytes(32))  # in sync
block += struct.pack("<2H", 0, 1)
total = sum(struct.unpack(f"<{len(block) // 4}I", block))
total = (total & 0xFFFFFFFF) + (total >> 32)
block = block[:216] + struct.pack("<I", total & 0xFFFFFFFF) + block[220:]
with open(path, "r+b") as file:
    file.seek(place * 512)
    file.write(block)
PYTHON
}

layout_disks() {
    local number
    for number in 0 1; do
        new_disk $number $((md_size + 65)) "label: dos
            start=1MiB, size=${md_size}MiB, type=fd, bootable
            start=$((md_size + 1))MiB, type=82"
    done
    truncate -s ${md_size}M "$work/member"
    put_ext4 "$work/member" 0 $((md_size - 1)) "$root_uuid" root "$tree" -N 65536
    for number in 0 1; do
        write_member "$work/member" $number
        put "$work/member" "$work/disk$number.raw" 1
        put_swap "$work/disk$number.raw" $((md_size + 1)) 64 "$(uuidgen)"
        install_grub "$work/disk$number.raw" "$root_uuid" /boot
    done
    rm "$work/member"
}
