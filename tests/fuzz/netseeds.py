# SPDX-License-Identifier: Apache-2.0
"""Network configuration files as guests have them: (style, wishes) as netcheck.h counts them."""

INTERFACES = """\
source /etc/network/interfaces.d/*
auto lo ens192 ens192:1
iface lo inet loopback
iface ens192 inet static
\taddress 192.0.2.4/24
\tgateway 192.0.2.1
\thwaddress ether 00:50:56:9a:00:01
\tup ip route add 10.0.0.0/8 \\
\t  via 192.0.2.9
iface ens192:1 inet static
\taddress 192.0.2.5/24
iface ens192 inet6 static
\taddress 2001:db8::4/64
iface br0 inet static
\tbridge_ports bond0.7 eth0
\taddress 192.0.2.6/24
iface bond0 inet manual
\tbond-slaves none
"""
IFCFG = """\
TYPE=Ethernet
BOOTPROTO="none" # fixed
DEVICE=eth0
HWADDR=00:0C:29:11:22:33
IPADDR0=192.0.2.4
PREFIX0=24
GATEWAY=192.0.2.1
IPV6ADDR=2001:db8::4/64
ONBOOT=yes
"""
SUSE = "BOOTPROTO='static'\nIPADDR='192.0.2.4/24'\nIPADDR_1='192.0.2.5/24'\nBRIDGE_PORTS='eth1'\n"
KEYFILE = """\
[connection]
id=lan
uuid=1a8f5a9e-3f0c-3b32-a25d-0ecb2e1f7d11
type=ethernet
interface-name=ens192

[ethernet]
mac-address=00:0C:29:00:00:09

[match]
driver=vmxnet3;

[ipv4]
address1=192.0.2.4/24,192.0.2.1
method=manual
"""
NETWORK = """\
[Match]
Name=en*
Driver=vmxnet3

[Network]
Address=192.0.2.4/24
Gateway=192.0.2.1

[Address]
Address=192.0.2.5/24

[Route]
Gateway=192.0.2.1

[Route]
Destination=10.0.0.0/8
Gateway=192.0.2.9
"""
LINK = "[Match]\nPath=pci-0000:0b:00.0\nMACAddress=00:0c:29:00:00:09\n\n[Link]\nName=ens192\n"
NETCTL = ("Interface=ens192\nConnection=ethernet\nIP=static\nAddress=('192.0.2.4/24'\n"
          "  '192.0.2.5/24')\nGateway='192.0.2.1'\nBindsToInterfaces=(eth0 eth1)\n")
NETPLAN = """\
# größe
network:
  version: 2
  ethernets:
    nic:
      match: {driver: 'vmxnet3'}
      set-name: ens192
      addresses:
      - 192.0.2.11/24 # main
      - 2001:db8::4/64
      gateway4: 192.0.2.1
      routes:
      - to: default
        via: 192.0.2.1
    eth0:
      match:
        macaddress: 00:0c:29:00:00:09
      addresses: [192.0.2.12/24]
  bridges:
    br0: {interfaces: [nic], addresses: [192.0.2.4/24], gateway4: 192.0.2.1}
"""
RULES = """\
SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="00:0c:29:00:00:09", NAME="eth0"
SUBSYSTEM=="net", DRIVERS=="vmxnet3", ATTR{address}=="52:54:00:00:00:02", \\
  NAME="eth0"
SUBSYSTEM=="net", KERNELS=="0000:03:00.0", NAME="eth5"
"""

SEEDS = {
    "interfaces": (0, 1, INTERFACES), "interfaces-d": (1, 17, INTERFACES),
    "ifcfg": (2, 1, IFCFG), "ifcfg-hwaddr": (2, 8, "DEVICE=eth0\nIPADDR=192.0.2.4"),
    "ifcfg-alias": (3, 1, "DEVICE=eth0:1\nIPADDR=192.0.2.4\nONPARENT=yes"),
    "sysconfig": (4, 1, "NETWORKING=yes\nGATEWAY=192.0.2.1\nGATEWAYDEV=eth0\n"),
    "suse": (5, 1, SUSE), "routes": (6, 1, "default 192.0.2.1 - -\n10.0.0.0/8 192.0.2.9\n"),
    "wicked": (7, 0, "<interface><name>eth0</name></interface>"), "keyfile": (8, 17, KEYFILE),
    "network": (9, 1, NETWORK), "netdev": (10, 0, "[NetDev]\nName=br0\nKind=bridge\n"),
    "link": (11, 16, LINK), "netctl": (12, 1, NETCTL), "netplan": (13, 17, NETPLAN),
    "netplan-two": (13, 1, NETPLAN), "rules": (14, 2, RULES),
    "mactab": (15, 4, "# mine\nens192 00:0c:29:00:00:09\neth0 mac=52:54:00:00:00:02\n"),
}
