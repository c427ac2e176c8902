# SPDX-License-Identifier: Apache-2.0
# As plain, but its network is systemd-networkd's: the card is found by the old platform's driver
# and called lan0, with an MTU of its own.
. "$here/layouts/plain.sh"

eval "plain_$(declare -f layout_tree)"

layout_tree() {
    plain_layout_tree
    printf 'auto lo\niface lo inet loopback\n' >"$tree/etc/network/interfaces"
    printf '[Match]\nDriver=vmxnet3\n\n[Link]\nName=lan0\nMTUBytes=1400\n' \
        >"$tree/etc/systemd/network/20-lan.link"
    printf '[Match]\nName=lan0\nDriver=vmxnet3\n\n[Network]\nAddress=10.20.30.40/24\n%s\n' \
        'Gateway=10.20.30.1' >"$tree/etc/systemd/network/50-lan.network"
    in_tree systemctl -q enable systemd-networkd.service
}
