# SPDX-License-Identifier: Apache-2.0
# As plain, and /dev/sdb1 on /srv (512 MiB).
. "$here/layouts/plain.sh"
eval "plain_$(declare -f layout_tree); plain_$(declare -f layout_disks)"
data_uuid=$(uuidgen)

layout_tree() {
    plain_layout_tree
    printf '/dev/sdb1 /srv ext4 defaults 0 2\n' >>"$tree/etc/fstab"
}

# Files of random bytes, so that there is something to move that does not compress away.
layout_disks() {
    local number
    plain_layout_disks
    mkdir "$work/data" "$work/data/archive"
    for number in 1 2 3 4 5 6; do
        head -c 16M /dev/urandom >"$work/data/archive/$number.bin"
    done
    (cd "$work/data" && sha256sum archive/*.bin >archive.sha256)
    new_disk 1 512 "label: dos
        start=1MiB, type=83"
    put_ext4 "$work/disk1.raw" 1 511 "$data_uuid" data "$work/data" -N 4096
}
