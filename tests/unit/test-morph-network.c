/* SPDX-License-Identifier: Apache-2.0 */
/* Names of cards and matches by hardware, in every style of network configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "morph-net.h"

#define MAC1 "00:50:56:9a:00:01"
#define MAC2 "00:50:56:9a:00:02"
#define MAC3 "00:50:56:9a:00:03"
#define OLD "00:0c:29:00:00:09"
#define RULES "/etc/udev/rules.d/70-persistent-net.rules"
#define LINK(name) "/etc/systemd/network/10-slipway-" name ".link"
#define LINK_TEXT(mac, name, more)                                                                 \
    "# Keeps the name this card had before the move to KVM.\n[Match]\nMACAddress=" mac             \
    "\nPath=*\n\n[Link]\nName=" name "\n" more
#define RULE_TEXT(mac, name)                                                                       \
    "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"" mac                  \
    "\", ATTR{type}==\"1\", NAME=\"" name "\"\n"

static void as_red_hat(struct net *net, const char *version)
{
    net->facts.family = FAMILY_REDHAT;
    net->facts.os.version = (char *)version;
}

static void test_debian_bridges_bonds_vlans(void **state)
{
    struct net *net = *state;
    static const char interfaces[] =
        "source /etc/network/interfaces.d/*\nsource more/*.cfg\n\n"
        "auto lo\niface lo inet loopback\n\n"
        "auto bond0\niface bond0 inet manual\n\tbond-slaves ens192 ens224\n\tbond-mode 1\n\n"
        "auto br0\niface br0 inet static\n\taddress 192.0.2.5/24\n\tbridge_ports bond0.7\n\n"
        "auto vlan9\niface vlan9 inet static\n\tvlan-raw-device ens256\n\taddress 192.0.2.9/24\n";

    net_nic(net, MAC3, "ens256");
    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, "ens224");
    fake_text(&net->guest, "/etc/network/interfaces", interfaces);
    fake_text(&net->guest, "/etc/network/more/x.cfg", "iface ens192 inet manual\n");
    net_morph(net);
    net_expect(net, "/etc/network/interfaces", interfaces);
    net_expect(net, LINK("ens192"), LINK_TEXT(MAC1, "ens192", ""));
    net_expect(net, LINK("ens224"), LINK_TEXT(MAC2, "ens224", ""));
    net_expect(net, LINK("ens256"), LINK_TEXT(MAC3, "ens256", ""));
    assert_int_equal(net->edits, 3);
    assert_string_equal(net->notes, "");
}

static void test_two_unknown_cards_are_a_guess_that_is_told(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/etc/network/interfaces",
              "iface ens1024 inet dhcp\niface ens224 inet dhcp\n");
    net_morph(net);
    net_expect(net, LINK("ens224"), LINK_TEXT(MAC1, "ens224", ""));
    net_expect(net, LINK("ens1024"), LINK_TEXT(MAC2, "ens1024", ""));
    assert_non_null(strstr(net->notes, MAC1 " is taken for 'ens224' by order"));
    assert_non_null(strstr(net->notes, "--nic " MAC2 "=NAME"));
}

static void test_rhel5_by_hwaddr(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "5.11");
    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, "eth1");
    fake_text(
        &net->guest, "/etc/sysconfig/network-scripts/ifcfg-eth0",
        "# VMware\nDEVICE=eth0\nBOOTPROTO=static\nIPADDR=192.0.2.4\nHWADDR=00:50:56:9A:00:01\n");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-eth1",
              "DEVICE=eth1\nBOOTPROTO=dhcp");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-eth1.bak", "DEVICE=eth7\n");
    net_morph(net);
    assert_string_equal(net->paths, "/etc/sysconfig/network-scripts/ifcfg-eth1 ");
    net_expect(net, "/etc/sysconfig/network-scripts/ifcfg-eth1",
               "DEVICE=eth1\nBOOTPROTO=dhcp\nHWADDR=" MAC2 "\n");
}

static void test_rhel5_without_kudzu(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "5.11");
    fake_text(&net->guest, "/etc/inittab", "id:3:initdefault:\n");
    fake_text(&net->guest, "/etc/rc.d/init.d/kudzu", "#!/bin/sh\n# chkconfig: 345 05 95\n");
    fake_text(&net->guest, "/etc/init.d/kudzu", "#!/bin/sh\n# chkconfig: 345 05 95\n");
    fake_link(&net->guest, "/etc/rc.d/rc3.d/S05kudzu", "../init.d/kudzu");
    net_morph(net);
    net_expect(net, "/etc/rc.d/rc3.d/S05kudzu", "(none)");
}

static void test_rhel6_rules_of_old_hardware(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "6.10");
    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-eth0",
              "DEVICE=eth0\nHWADDR=\"00:50:56:9A:00:01\"\nIPADDR=192.0.2.4\n");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-eth1",
              "DEVICE=\"eth1\"\nHWADDR='" MAC2 "'\n");
    fake_text(&net->guest, RULES,
              "# made by hand\n"
              "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"" OLD
              "\", ATTR{type}==\"1\", KERNEL==\"eth*\", NAME=\"eth0\"\n"
              "SUBSYSTEM==\"net\", ATTR{address}==\"" MAC1 "\", KERNEL==\"eth*\", NAME=\"eth0\"\n"
              "SUBSYSTEM==\"net\", DRIVERS==\"vmxnet3\", ATTR{address}==\"" MAC2
              "\", \\\n  NAME=\"eth1\"\n"
              "SUBSYSTEM==\"net\", KERNELS==\"0000:03:00.0\", NAME=\"eth5\"\n"
              "SUBSYSTEM==\"net\", ATTR{address}==\"" OLD "\", NAME=\"eth8\"\n");
    net_morph(net);
    assert_string_equal(net->paths, RULES " ");
    net_expect(net, RULES,
               "# made by hand\n"
               "# before slipway-morph: SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", "
               "ATTR{address}==\"" OLD "\", ATTR{type}==\"1\", KERNEL==\"eth*\", NAME=\"eth0\"\n"
               "SUBSYSTEM==\"net\", ATTR{address}==\"" MAC1 "\", KERNEL==\"eth*\", NAME=\"eth0\"\n"
               "# before slipway-morph: SUBSYSTEM==\"net\", DRIVERS==\"vmxnet3\", "
               "ATTR{address}==\"" MAC2 "\", \\\n  # before slipway-morph: NAME=\"eth1\"\n"
               "# before slipway-morph: SUBSYSTEM==\"net\", KERNELS==\"0000:03:00.0\", "
               "NAME=\"eth5\"\n"
               "SUBSYSTEM==\"net\", ATTR{address}==\"" OLD
               "\", NAME=\"eth8\"\n" RULE_TEXT(MAC2, "eth1"));
}

static void test_new_mac_of_a_named_card(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "6.5");
    net_nic(net, MAC1, "eth0");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-eth0",
              "DEVICE=eth0\nHWADDR=\"" OLD "\" # old\nIPADDR=192.0.2.4\n");
    fake_text(&net->guest, RULES,
              "SUBSYSTEM==\"net\", ATTR{address}==\"" OLD "\", NAME=\"eth0\"\n");
    net_morph(net);
    net_expect(net, "/etc/sysconfig/network-scripts/ifcfg-eth0",
               "DEVICE=eth0\nHWADDR=\"" MAC1 "\" # old\nIPADDR=192.0.2.4\n");
    net_expect(net, RULES,
               "# before slipway-morph: SUBSYSTEM==\"net\", ATTR{address}==\"" OLD
               "\", NAME=\"eth0\"\n" RULE_TEXT(MAC1, "eth0"));
}

static void test_rhel7_gets_rules(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "7");
    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-ens192",
              "TYPE=Ethernet\nNAME=ens192\nDEVICE=ens192\nONBOOT=yes\nIPADDR=192.0.2.4\n");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-br0", "TYPE=Bridge\nDEVICE=br0\n");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n");
    net_morph(net);
    assert_string_equal(net->paths, RULES " ");
    net_expect(net, RULES, RULE_TEXT(MAC1, "ens192"));
}

static void test_rhel8_bond_of_ifcfg(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "8.9");
    net_nic(net, MAC1, "ens192");
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-lacp",
              "DEVICE=lacp\nTYPE=Bond\nBONDING_MASTER=yes\nIPADDR=192.0.2.4\n");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-port1",
              "DEVICE=ens192\nMASTER=lacp\nSLAVE=yes\n");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-port2",
              "DEVICE=ens224\nMASTER=lacp\nSLAVE=yes\n");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-lacp.40",
              "DEVICE=lacp.40\nVLAN=yes\nIPADDR=192.0.2.5\n");
    net_morph(net);
    assert_string_equal(net->paths, LINK("ens192") " " LINK("ens224") " ");
    assert_string_equal(net->notes, "");
}

static const char keyfile[] = "[connection]\nid=lan\nuuid=1a8f5a9e-3f0c-3b32-a25d-0ecb2e1f7d11\n"
                              "type=ethernet\ninterface-name=ens192\n\n[ethernet]\n"
                              "mac-address=00:0C:29:00:00:09\n\n[match]\ndriver=vmxnet3;\n\n"
                              "[ipv4]\naddress1=192.0.2.4/24,192.0.2.1\ndns=192.0.2.53;\n"
                              "method=manual\n";

static void test_rhel9_keyfile(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "9.3");
    net_nic(net, MAC1, "ens192");
    fake_text(&net->guest, "/etc/NetworkManager/system-connections/lan.nmconnection", keyfile);
    net_morph(net);
    net_expect(net, LINK("ens192"), LINK_TEXT(MAC1, "ens192", ""));
    net_expect(net, "/etc/NetworkManager/system-connections/lan.nmconnection",
               "[connection]\nid=lan\nuuid=1a8f5a9e-3f0c-3b32-a25d-0ecb2e1f7d11\n"
               "type=ethernet\ninterface-name=ens192\n\n[ethernet]\n"
               "mac-address=" MAC1 "\n\n[match]\n# before slipway-morph: driver=vmxnet3;\n\n"
               "[ipv4]\naddress1=192.0.2.4/24,192.0.2.1\ndns=192.0.2.53;\nmethod=manual\n");
}

/* A connection that is found by its MAC address does not care for names. */
static void test_keyfile_by_mac_needs_no_name(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "9.3");
    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/etc/NetworkManager/system-connections/a",
              "[connection]\ntype=802-3-ethernet\n[802-3-ethernet]\nmac-address=" MAC1 "\n");
    fake_text(&net->guest, "/etc/NetworkManager/system-connections/b",
              "[connection]\ntype=ethernet\ninterface-name=ens224\n");
    net_morph(net);
    assert_string_equal(net->paths, LINK("ens224") " ");
    net_expect(net, LINK("ens224"), LINK_TEXT(MAC2, "ens224", ""));
    assert_string_equal(net->notes, "");
}

static void test_new_mac_of_a_connection_without_a_name(void **state)
{
    struct net *net = *state;
    static const char before[] = "[connection]\nid=Wired 1\ntype=ethernet\n[ethernet]\n"
                                 "mac-address=" OLD "\n[ipv4]\nmethod=auto\n";

    as_red_hat(net, "9.3");
    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/etc/NetworkManager/system-connections/w.nmconnection", before);
    net_morph(net);
    net_expect(net, "/etc/NetworkManager/system-connections/w.nmconnection",
               "[connection]\nid=Wired 1\ntype=ethernet\n[ethernet]\n"
               "mac-address=" MAC1 "\n[ipv4]\nmethod=auto\n");
    net_nic(net, MAC2, NULL); /* now it may be either, but MAC1 is said to be it */
    net_morph(net);
    assert_int_equal(net->edits, 0);
    fake_text(&net->guest, "/etc/NetworkManager/system-connections/w.nmconnection", before);
    net_morph(net);
    assert_int_equal(net->edits, 0); /* one of two: who knows */
}

static void test_names_that_contradict(void **state)
{
    struct net *net = *state;

    as_red_hat(net, "8.9");
    net_nic(net, MAC1, "eth1");
    fake_text(&net->guest, "/etc/sysconfig/network-scripts/ifcfg-eth0",
              "DEVICE=eth0\nHWADDR=" MAC1 "\n");
    net_morph(net);
    assert_non_null(strstr(net->notes, "says that " MAC1 " is eth0, not eth1"));
}

static void test_sles11(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_SUSE;
    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/lib/udev/rules.d/75-persistent-net-generator.rules", "#\n");
    fake_text(&net->guest, "/etc/sysconfig/network/ifcfg-eth0",
              "BOOTPROTO='static'\nIPADDR='192.0.2.4/24'\nSTARTMODE='auto'\n");
    fake_text(&net->guest, RULES,
              "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{address}==\"" MAC1
              "\", ATTR{dev_id}==\"0x0\", ATTR{type}==\"1\", KERNEL==\"eth*\", NAME=\"eth0\"\n");
    net_morph(net);
    assert_int_equal(net->edits, 0);
    assert_int_equal(net->facts.pin_count, 1);
}

static void test_sles15_wicked(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_SUSE;
    net_nic(net, MAC1, "eth0");
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/usr/lib/udev/rules.d/80-net-setup-link.rules", "#\n");
    fake_text(&net->guest, "/etc/sysconfig/network/config", "FORCE=\"\"\n");
    fake_text(&net->guest, "/etc/sysconfig/network/ifcfg-lo", "IPADDR=127.0.0.1/8\n");
    fake_text(&net->guest, "/etc/sysconfig/network/ifcfg-storage",
              "BONDING_MASTER='yes'\nBONDING_SLAVE_0='eth0'\nBONDING_SLAVE_1='eth1'\n"
              "IPADDR='192.0.2.4/24'\n");
    fake_text(&net->guest, "/etc/sysconfig/network/ifcfg-vlan5",
              "ETHERDEVICE='storage'\nIPADDR='192.0.2.5/24'\n");
    net_morph(net);
    assert_string_equal(net->paths, LINK("eth0") " " LINK("eth1") " ");
    assert_string_equal(net->notes, "");
}

static void test_eth_names_in_another_order(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, "eth1");
    net_nic(net, MAC2, "eth0");
    fake_text(&net->guest, "/etc/network/interfaces", "iface eth0 inet dhcp\n");
    net_morph(net);
    assert_non_null(strstr(net->notes, MAC1 " is to be eth1, but as card 1"));
    assert_non_null(strstr(net->notes, "in the order of their names"));
}

static void test_masked_predictable_names(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/lib/udev/rules.d/80-net-setup-link.rules", "#\n");
    fake_link(&net->guest, "/etc/udev/rules.d/80-net-setup-link.rules", "/dev/null");
    fake_text(&net->guest, "/etc/network/interfaces", "iface lan inet dhcp\n");
    net_morph(net);
    assert_string_equal(net->paths, RULES " ");
    net_expect(net, RULES, RULE_TEXT(MAC1, "lan"));
    fake_text(&net->guest, "/etc/udev/rules.d/80-net-setup-link.rules", "# none\n");
    net_morph(net);
    assert_int_equal(net->edits, 0);
}

static void test_networkd(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/etc/systemd/network/20-lan.network",
              "[Match]\nName=lan0\nDriver=vmxnet3\n\n[Network]\nAddress=192.0.2.4/24\n");
    fake_text(&net->guest, "/etc/systemd/network/20-lan.link",
              "[Match]\nPath=pci-0000:0b:00.0\n\n[Link]\nName=lan0\nMTUBytes=9000\n");
    fake_text(&net->guest, "/etc/systemd/network/30-br.netdev",
              "[NetDev]\nName=intern\nKind=bridge\n");
    fake_text(&net->guest, "/etc/systemd/network/30-br.network",
              "[Match]\nName=intern\n[Network]\nAddress=10.0.0.1/24\n");
    net_morph(net);
    net_expect(net, "/etc/systemd/network/20-lan.network",
               "[Match]\nName=lan0\n# before slipway-morph: Driver=vmxnet3\n\n[Network]\n"
               "Address=192.0.2.4/24\n");
    net_expect(net, "/etc/systemd/network/20-lan.link",
               "[Match]\nMACAddress=" MAC1 "\n\n[Link]\nName=lan0\nMTUBytes=9000\n");
    net_expect(net, LINK("lan0"), LINK_TEXT(MAC1, "lan0", "MTUBytes=9000\n"));
}

static void test_networkd_by_driver_of_two_cards(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/etc/systemd/network/all.network",
              "[Match]\nDriver=vmxnet3\n[Network]\nDHCP=yes\n");
    fake_text(&net->guest, "/etc/systemd/network/one.link",
              "[Match]\nPath=pci-0000:0b:00.0\n[Link]\nMTUBytes=9000\n");
    net_morph(net);
    net_expect(net, "/etc/systemd/network/all.network",
               "[Match]\nDriver=virtio_net\n[Network]\nDHCP=yes\n");
    assert_string_equal(net->paths, "/etc/systemd/network/all.network ");
    assert_non_null(strstr(net->notes, "one.link: it asks for 'pci-0000:0b:00.0'"));
}

static void test_names_with_wildcards(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/etc/netplan/a.yaml",
              "network: {ethernets: {all: {match: {name: 'ens*'}, dhcp4: true}}}\n");
    net_morph(net);
    assert_string_equal(net->paths, LINK("ens192") " " LINK("ens224") " ");
    fake_text(&net->guest, "/etc/netplan/a.yaml",
              "network: {ethernets: {all: {match: {name: 'en*'}, dhcp4: true}}}\n");
    net_morph(net);
    assert_int_equal(net->facts.pin_count, 2); /* as the guest now says itself */
}

static void test_link_by_driver_is_taken_over(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, "ens192");
    fake_text(&net->guest, "/etc/systemd/network/10-mtu.link",
              "[Match]\nDriver = vmxnet3\n[Link]\nNamePolicy=path\nMTUBytes = 9000\n");
    fake_text(&net->guest, "/etc/systemd/network/90-any.link",
              "[Match]\nOriginalName=*\n[Link]\nWakeOnLan=magic\n");
    net_morph(net);
    net_expect(net, "/etc/systemd/network/10-mtu.link",
               "[Match]\nMACAddress=" MAC1 "\n[Link]\nNamePolicy=path\nMTUBytes = 9000\n");
    net_expect(net, LINK("ens192"), LINK_TEXT(MAC1, "ens192", "MTUBytes=9000\n"));
}

static void test_rules_of_other_devices_are_told(void **state)
{
    struct net *net = *state;
    static const char text[] = "KERNEL==\"sd*\", KERNELS==\"0000:0b:00.0\", SYMLINK+=\"data\"\n";

    net_nic(net, MAC1, "ens192");
    fake_text(&net->guest, "/etc/udev/rules.d/50-data.rules", text);
    net_morph(net);
    net_expect(net, "/etc/udev/rules.d/50-data.rules", text);
    assert_non_null(strstr(net->notes, "PCI address 0000:0b:00.0"));
}

static void test_netplan_of_an_installer(void **state)
{
    struct net *net = *state;
    static const char installer[] =
        "# This is the network config written by 'subiquity'\nnetwork:\n  ethernets:\n"
        "    ens192:\n      addresses:\n      - 192.0.2.11/24\n  version: 2\n";

    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/etc/netplan/00-installer-config.yaml", installer);
    fake_text(&net->guest, "/etc/netplan/old.yaml.bak", "network: {ethernets: {ens1: {}}}\n");
    net_morph(net);
    assert_string_equal(net->paths, LINK("ens192") " ");
    net_expect(net, "/etc/netplan/00-installer-config.yaml", installer);
    assert_string_equal(net->notes, "");
}

static const char generated[] =
    "# This file is generated from information provided by the datasource.\n"
    "network:\n    ethernets:\n        ens192:\n            dhcp4: true\n            match:\n"
    "                macaddress: 00:50:56:9a:00:01\n            set-name: ens192\n"
    "    version: 2\n";

static void test_netplan_of_cloud_init(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/etc/netplan/50-cloud-init.yaml", generated);
    fake_text(&net->guest, "/etc/cloud/cloud.cfg", "users: []\n");
    fake_link(&net->guest, "/var/lib/cloud/instance", "/var/lib/cloud/instances/i-1");
    net_morph(net);
    net_expect(net, "/etc/netplan/50-cloud-init.yaml", generated);
    net_expect(net, LINK("ens192"), LINK_TEXT(MAC1, "ens192", ""));
    assert_non_null(strstr(net_text(net, "/etc/cloud/cloud.cfg.d/99-slipway-network.cfg"),
                           "\nnetwork: {config: disabled}\n"));
    assert_non_null(strstr(net_text(net, "/etc/cloud/cloud.cfg.d/99-slipway-network.cfg"),
                           "\nmanual_cache_clean: true\n"));
    assert_int_equal(net->edits, 2);
    assert_string_equal(net->notes, "");
}

static void test_netplan_new_mac(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC2, "ens192");
    fake_text(&net->guest, "/etc/netplan/50-cloud-init.yaml", generated);
    net_morph(net);
    net_expect(net, "/etc/netplan/50-cloud-init.yaml",
               "# This file is generated from information provided by the datasource.\n"
               "network:\n    ethernets:\n        ens192:\n            dhcp4: true\n"
               "            match:\n                macaddress: \"" MAC2 "\"\n"
               "            set-name: ens192\n    version: 2\n");
}

static void test_netplan_by_driver(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/etc/netplan/01.yaml",
              "network: # größe ☃\n  version: 2\n  ethernets:\n    nic:\n      match: "
              "{driver: 'vmxnet3'} # VMware\n      set-name: lan\n  bridges:\n    br0:\n"
              "      interfaces: [nic]\n      addresses: [192.0.2.4/24]\n");
    net_morph(net);
    net_expect(net, "/etc/netplan/01.yaml",
               "network: # größe ☃\n  version: 2\n  ethernets:\n    nic:\n      match: "
               "{macaddress: \"" MAC1 "\"} # VMware\n      set-name: lan\n  bridges:\n    br0:\n"
               "      interfaces: [nic]\n      addresses: [192.0.2.4/24]\n");
    net_expect(net, LINK("lan"), LINK_TEXT(MAC1, "lan", ""));
}

static void test_netplan_by_driver_of_two_cards(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/etc/netplan/01.yaml",
              "network:\n  ethernets:\n    all:\n      match:\n        driver: vmxnet3\n"
              "      dhcp4: true\n");
    net_morph(net);
    net_expect(net, "/etc/netplan/01.yaml",
               "network:\n  ethernets:\n    all:\n      match:\n        driver: virtio_net\n"
               "      dhcp4: true\n");
}

static void test_netplan_of_azure(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/etc/udev/rules.d/75-persistent-net-generator.rules", "");
    fake_text(&net->guest, "/etc/netplan/50-cloud-init.yaml",
              "network:\n  version: 2\n  ethernets:\n    eth0:\n      match:\n"
              "        driver: hv_netvsc\n        macaddress: " MAC1 "\n      set-name: eth0\n");
    net_morph(net);
    net_expect(net, "/etc/netplan/50-cloud-init.yaml",
               "network:\n  version: 2\n  ethernets:\n    eth0:\n      match:\n"
               "        driver: virtio_net\n        macaddress: " MAC1 "\n      set-name: eth0\n");
    net_expect(net, LINK("eth0"), LINK_TEXT(MAC1, "eth0", ""));
}

static void test_netplan_that_is_no_yaml(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC1, "ens192");
    fake_text(&net->guest, "/etc/netplan/01.yaml", "network:\n\t- {[\n");
    net_morph(net);
    assert_string_equal(net->paths, LINK("ens192") " ");
    assert_non_null(strstr(net->notes, "01.yaml: it is no YAML"));
}

static void test_arch_netctl(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_ARCH;
    net_nic(net, MAC1, NULL);
    net_nic(net, MAC2, "ens224");
    fake_text(&net->guest, "/etc/netctl/lan",
              "Interface=br0\nConnection=bridge\nBindsToInterfaces=(ens192 'ens224')\nIP=static\n"
              "Address=('192.0.2.4/24')\n");
    fake_text(&net->guest, "/etc/netctl/examples/x", "Interface=eth7\nConnection=ethernet\n");
    net_morph(net);
    assert_string_equal(net->paths, LINK("ens224") " " LINK("ens192") " ");
}

static void test_alpine_with_kernel_names(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_ALPINE;
    net_nic(net, MAC1, NULL);
    fake_text(&net->guest, "/etc/network/interfaces",
              "auto eth0\niface eth0 inet static\n\taddress 192.0.2.4/24\n");
    net_morph(net);
    assert_int_equal(net->edits, 0);
}

static void test_alpine_with_names_of_its_own(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_ALPINE;
    net_nic(net, MAC1, "lan");
    net_nic(net, MAC2, NULL);
    fake_text(&net->guest, "/etc/mdev.conf", "null root:root 666\n");
    fake_text(&net->guest, "/etc/mactab", "# mine\nlan " OLD "\nwan " MAC2 "\n");
    fake_text(&net->guest, "/etc/network/interfaces", "iface lan inet dhcp\niface wan inet dhcp\n");
    net_morph(net);
    net_expect(net, "/etc/mactab",
               "# mine\n# before slipway-morph: lan " OLD "\nwan " MAC2 "\nlan " MAC1 "\n");
    net_expect(net, "/etc/mdev.conf",
               "-SUBSYSTEM=net;DEVPATH=.*/net/.*;.*\troot:root 600 @nameif -s\n"
               "null root:root 666\n");
}

static void test_alpine_with_eudev(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_ALPINE;
    net_nic(net, MAC1, "lan");
    fake_text(&net->guest, "/sbin/udevd", "");
    fake_text(&net->guest, "/etc/mdev.conf", "");
    net_morph(net);
    net_expect(net, RULES, RULE_TEXT(MAC1, "lan"));
}

static void test_files_that_are_no_text(void **state)
{
    struct net *net = *state;
    char *large = mem_new(300 << 10, 1);

    net_nic(net, MAC1, "ens192");
    fake_put(&net->guest, "/etc/network/interfaces.d/core",
             "\x7f"
             "ELF\0",
             5);
    memset(large, '\n', (300 << 10) - 1);
    fake_text(&net->guest, "/etc/network/interfaces.d/large", large);
    free(large);
    net_morph(net);
    assert_non_null(strstr(net->notes, "interfaces.d/core is not looked at"));
    assert_non_null(strstr(net->notes, "interfaces.d/large is not looked at"));
    assert_string_equal(net->paths, LINK("ens192") " ");
}

static void test_cloud_init_oddities(void **state)
{
    struct net *net = *state;

    fake_text(&net->guest, "/usr/bin/cloud-init", "#!/usr/bin/python3\n");
    fake_text(&net->guest, "/etc/cloud/cloud.cfg.d/99_net.cfg",
              "#cloud-config\nnetwork:\n  version: 1\n");
    fake_text(&net->guest, "/etc/cloud/cloud.cfg.d/99-disable.cfg",
              "network: {config: disabled}\n");
    net_morph(net);
    assert_int_equal(net->edits, 1);
    assert_non_null(strstr(net->notes, "99_net.cfg comes after ours"));
    assert_null(strstr(net->notes, "99-disable.cfg"));
    assert_non_null(strstr(net->notes, "never ran"));
    fake_text(&net->guest, "/etc/cloud/cloud-init.disabled", "");
    net_morph(net);
    assert_string_equal(net->notes, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, net_set_up, net_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_debian_bridges_bonds_vlans),
        TEST(test_two_unknown_cards_are_a_guess_that_is_told),
        TEST(test_rhel5_by_hwaddr),
        TEST(test_rhel5_without_kudzu),
        TEST(test_rhel6_rules_of_old_hardware),
        TEST(test_new_mac_of_a_named_card),
        TEST(test_rhel7_gets_rules),
        TEST(test_rhel8_bond_of_ifcfg),
        TEST(test_rhel9_keyfile),
        TEST(test_keyfile_by_mac_needs_no_name),
        TEST(test_new_mac_of_a_connection_without_a_name),
        TEST(test_names_that_contradict),
        TEST(test_sles11),
        TEST(test_sles15_wicked),
        TEST(test_eth_names_in_another_order),
        TEST(test_masked_predictable_names),
        TEST(test_networkd),
        TEST(test_networkd_by_driver_of_two_cards),
        TEST(test_names_with_wildcards),
        TEST(test_link_by_driver_is_taken_over),
        TEST(test_rules_of_other_devices_are_told),
        TEST(test_netplan_of_an_installer),
        TEST(test_netplan_of_cloud_init),
        TEST(test_netplan_new_mac),
        TEST(test_netplan_by_driver),
        TEST(test_netplan_by_driver_of_two_cards),
        TEST(test_netplan_of_azure),
        TEST(test_netplan_that_is_no_yaml),
        TEST(test_arch_netctl),
        TEST(test_alpine_with_kernel_names),
        TEST(test_alpine_with_names_of_its_own),
        TEST(test_alpine_with_eudev),
        TEST(test_files_that_are_no_text),
        TEST(test_cloud_init_oddities),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
