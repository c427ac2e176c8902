/* SPDX-License-Identifier: Apache-2.0 */
/* --dhcp: fixed addresses become DHCP in every style, and nothing else changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "morph-net.h"

#define MAC "00:50:56:9a:00:01"
#define WAS "# before slipway-morph: "

static void dhcp(struct net *net, const char *name, const char *path, const char *before)
{
    net_nic(net, MAC, name);
    net->request.dhcp = true;
    fake_text(&net->guest, "/sbin/dhclient", "");
    fake_text(&net->guest, path, before);
    net_morph(net);
}

static void test_ifupdown(void **state)
{
    struct net *net = *state;

    dhcp(net, "ens192", "/etc/network/interfaces",
         "auto lo\niface lo inet loopback\n\n"
         "auto ens192 ens192:1\niface ens192 inet static\n"
         "\taddress 192.0.2.4\n\tnetmask 255.255.255.0\n\tgateway 192.0.2.1\n"
         "\tdns-nameservers 192.0.2.53\n\tup ip route add 10.0.0.0/8 \\\n\t  via 192.0.2.9\n"
         "iface ens192 inet static\n\taddress 192.0.2.44/24\n"
         "iface ens192:1 inet static\n  address 192.0.2.5/24\n  # why\n  up echo a \\\n     b\n"
         "iface ens192 inet6 static\n\taddress 2001:db8::4/64\n"
         "auto vlan7\niface vlan7 inet static\n\tvlan-raw-device ens192\n\taddress 10.7.0.1/24\n");
    net_expect(
        net, "/etc/network/interfaces",
        "auto lo\niface lo inet loopback\n\n"
        WAS "auto ens192 ens192:1\n"
               "auto ens192\niface ens192 inet dhcp\n"
        "\t" WAS "address 192.0.2.4\n\t" WAS "netmask 255.255.255.0\n"
        "\t" WAS "gateway 192.0.2.1\n"
        "\tdns-nameservers 192.0.2.53\n\tup ip route add 10.0.0.0/8 \\\n\t  via 192.0.2.9\n" WAS
        "iface ens192 inet static\n\t" WAS "address 192.0.2.44/24\n" WAS
        "iface ens192:1 inet static\n  " WAS "address 192.0.2.5/24\n  # why\n"
        "  " WAS "up echo a \\\n     " WAS "b\n"
        "iface ens192 inet6 auto\n\t" WAS "address 2001:db8::4/64\n"
        "auto vlan7\niface vlan7 inet static\n\tvlan-raw-device ens192\n"
        "\taddress 10.7.0.1/24\n");
    assert_string_equal(net->notes, "");
}

static void test_ifupdown_bridge_over_bond(void **state)
{
    struct net *net = *state;

    dhcp(net, "eth0", "/etc/network/interfaces",
         "iface eth0 inet manual\niface bond0 inet manual\n  bond-slaves eth0\n"
         "iface br0 inet static\n  address 192.0.2.4/24\n  bridge_ports bond0\n"
         "iface br1 inet static\n  address 10.0.0.1/24\n  bridge_ports none\n");
    net_expect(net, "/etc/network/interfaces",
               "iface eth0 inet manual\niface bond0 inet manual\n  bond-slaves eth0\n"
               "iface br0 inet dhcp\n  " WAS "address 192.0.2.4/24\n  bridge_ports bond0\n"
               "iface br1 inet static\n  address 10.0.0.1/24\n  bridge_ports none\n");
}

static void test_commands_are_told(void **state)
{
    struct net *net = *state;

    dhcp(net, "eth0", "/etc/network/interfaces",
         "iface eth0 inet static\n  address 192.0.2.4/24\n  up route add default gw 192.0.2.1\n");
    net_expect(net, "/etc/network/interfaces",
               "iface eth0 inet dhcp\n  " WAS "address 192.0.2.4/24\n"
               "  up route add default gw 192.0.2.1\n");
    assert_non_null(strstr(net->notes, "a command of eth0 stays"));
}

static void test_no_client(void **state)
{
    struct net *net = *state;

    net->request.dhcp = true;
    fake_text(&net->guest, "/etc/network/interfaces", "iface ens192 inet static\n");
    net_morph(net);
    assert_non_null(strstr(net->notes, "no DHCP client"));
}

#define SCRIPTS "/etc/sysconfig/network-scripts/"

static void test_ifcfg(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_REDHAT;
    fake_text(&net->guest, SCRIPTS "ifcfg-ens192:0",
              "DEVICE=ens192:0\nONBOOT=yes\nIPADDR=192.0.2.5\nNETMASK=255.255.255.0");
    fake_text(&net->guest, SCRIPTS "ifcfg-ens192-range0", "IPADDR_START=192.0.2.100\n");
    fake_text(&net->guest, SCRIPTS "ifcfg-ens192.5",
              "DEVICE=ens192.5\nVLAN=yes\nIPADDR=10.5.0.1\n");
    fake_text(&net->guest, SCRIPTS "ifcfg-br9", "DEVICE=br9\nTYPE=Bridge\nIPADDR=10.9.0.1\n");
    fake_text(&net->guest, "/etc/sysconfig/network",
              "NETWORKING=yes\nHOSTNAME=web1\nGATEWAY=192.0.2.1\nGATEWAYDEV=ens192\n");
    fake_text(&net->guest, SCRIPTS "route-ens192",
              "10.0.0.0/8 via 192.0.2.9\ndefault via 192.0.2.1\n");
    dhcp(net, "ens192", SCRIPTS "ifcfg-ens192",
         "TYPE=Ethernet\nBOOTPROTO=\"none\" # fixed\nDEVICE=ens192\nIPADDR0=192.0.2.4\nPREFIX0=24\n"
         "IPADDR1=192.0.2.6\nPREFIX1=24\nGATEWAY=192.0.2.1\nDNS1=192.0.2.53\n"
         "IPV6INIT=yes\nIPV6ADDR=2001:db8::4/64\nIPV6_AUTOCONF=no\n");
    net_expect(net, SCRIPTS "ifcfg-ens192",
               "TYPE=Ethernet\nBOOTPROTO=\"dhcp\" # fixed\nDEVICE=ens192\n" WAS
               "IPADDR0=192.0.2.4\n" WAS "PREFIX0=24\n" WAS "IPADDR1=192.0.2.6\n" WAS
               "PREFIX1=24\n" WAS "GATEWAY=192.0.2.1\nDNS1=192.0.2.53\n"
               "IPV6INIT=yes\n" WAS "IPV6ADDR=2001:db8::4/64\nIPV6_AUTOCONF=no\n"
               "IPV6_AUTOCONF=yes\n");
    net_expect(net, SCRIPTS "ifcfg-ens192:0",
               "DEVICE=ens192:0\n" WAS "ONBOOT=yes\nIPADDR=192.0.2.5\nNETMASK=255.255.255.0\n"
               "ONBOOT=no\nONPARENT=no\n");
    net_expect(net, SCRIPTS "ifcfg-ens192.5", "DEVICE=ens192.5\nVLAN=yes\nIPADDR=10.5.0.1\n");
    net_expect(net, SCRIPTS "ifcfg-br9", "DEVICE=br9\nTYPE=Bridge\nIPADDR=10.9.0.1\n");
    net_expect(net, "/etc/sysconfig/network",
               "NETWORKING=yes\nHOSTNAME=web1\n" WAS "GATEWAY=192.0.2.1\nGATEWAYDEV=ens192\n");
    net_expect(net, SCRIPTS "route-ens192",
               "10.0.0.0/8 via 192.0.2.9\n" WAS "default via 192.0.2.1\n");
    assert_non_null(strstr(net->notes, "range0: its range of fixed addresses stays"));
}

static void test_ifcfg_without_bootproto_and_with_another_mac(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_REDHAT;
    dhcp(net, "eth0", SCRIPTS "ifcfg-eth0",
         "DEVICE=eth0\nHWADDR=00:0c:29:11:22:33\nIPADDR=1.2.3.4");
    net_expect(net, SCRIPTS "ifcfg-eth0",
               "DEVICE=eth0\nHWADDR=" MAC "\n" WAS "IPADDR=1.2.3.4\nBOOTPROTO=dhcp\n");
}

static void test_ifcfg_of_suse(void **state)
{
    struct net *net = *state;

    net->facts.family = FAMILY_SUSE;
    fake_text(&net->guest, "/etc/sysconfig/network/routes",
              "default 192.0.2.1 - -\n10.0.0.0/8 192.0.2.9 - -\n");
    fake_text(&net->guest, "/etc/sysconfig/network/ifcfg-br0",
              "BRIDGE='yes'\nBRIDGE_PORTS='eth1'\nIPADDR='192.0.2.8/24'\nBOOTPROTO='static'\n");
    dhcp(net, "eth0", "/etc/sysconfig/network/ifcfg-eth0",
         "BOOTPROTO='static'\nIPADDR='192.0.2.4/24'\nIPADDR_1='192.0.2.5/24'\nLABEL_1='1'\n"
         "NAME='VMXNET3'\nSTARTMODE='auto'\nMTU=''\n");
    net_expect(net, "/etc/sysconfig/network/ifcfg-eth0",
               "BOOTPROTO='dhcp'\n" WAS "IPADDR='192.0.2.4/24'\n" WAS
               "IPADDR_1='192.0.2.5/24'\n" WAS
               "LABEL_1='1'\nNAME='VMXNET3'\nSTARTMODE='auto'\nMTU=''\n");
    net_expect(net, "/etc/sysconfig/network/ifcfg-br0",
               "BRIDGE='yes'\nBRIDGE_PORTS='eth1'\n" WAS "IPADDR='192.0.2.8/24'\n"
               "BOOTPROTO='dhcp'\n");
    net_expect(net, "/etc/sysconfig/network/routes",
               WAS "default 192.0.2.1 - -\n10.0.0.0/8 192.0.2.9 - -\n");
}

#define CONNECTIONS "/etc/NetworkManager/system-connections/"

static void test_keyfile(void **state)
{
    struct net *net = *state;

    fake_text(&net->guest, CONNECTIONS "vpn.nmconnection",
              "[connection]\ntype=vpn\n[ipv4]\nmethod=manual\naddress1=10.0.0.1/24\n");
    fake_text(&net->guest, CONNECTIONS "port.nmconnection",
              "[connection]\ntype=ethernet\ninterface-name=ens224\ncontroller=bond7\n"
              "[ipv4]\nmethod=manual\naddress1=10.0.0.2/24\n");
    dhcp(net, "ens192", CONNECTIONS "lan.nmconnection",
         "[connection]\nid=lan\ntype=ethernet\ninterface-name=ens192\n\n[ipv4]\n"
         "address1=192.0.2.4/24,192.0.2.1\naddress2=192.0.2.5/24\ndns=192.0.2.53;\n"
         "route1=10.0.0.0/8,192.0.2.9\nmethod=manual\n\n[ipv6]\nmethod=disabled\n");
    net_expect(net, CONNECTIONS "lan.nmconnection",
               "[connection]\nid=lan\ntype=ethernet\ninterface-name=ens192\n\n[ipv4]\n" WAS
               "address1=192.0.2.4/24,192.0.2.1\n" WAS "address2=192.0.2.5/24\n"
               "dns=192.0.2.53;\nroute1=10.0.0.0/8,192.0.2.9\nmethod=auto\n\n[ipv6]\n"
               "method=disabled\n");
    net_expect(net, CONNECTIONS "vpn.nmconnection",
               "[connection]\ntype=vpn\n[ipv4]\nmethod=manual\naddress1=10.0.0.1/24\n");
    net_expect(net, CONNECTIONS "port.nmconnection",
               "[connection]\ntype=ethernet\ninterface-name=ens224\ncontroller=bond7\n"
               "[ipv4]\nmethod=manual\naddress1=10.0.0.2/24\n");
}

static void test_networkd(void **state)
{
    struct net *net = *state;

    dhcp(net, "ens192", "/etc/systemd/network/lan.network",
         "[Match]\nName=en*\n\n[Network]\nDNS=192.0.2.53\nAddress=192.0.2.4/24\nDHCP=no\n"
         "Gateway=192.0.2.1\n\n[Address]\nAddress=192.0.2.5/24\n# second\n\n"
         "[Route]\nGateway=192.0.2.1\nMetric=5\n\n[Route]\nDestination=10.0.0.0/8\n"
         "Gateway=192.0.2.9\n");
    net_expect(net, "/etc/systemd/network/lan.network",
               "[Match]\nName=en*\n\n[Network]\nDHCP=yes\nDNS=192.0.2.53\n" WAS
               "Address=192.0.2.4/24\n" WAS "DHCP=no\n" WAS "Gateway=192.0.2.1\n\n" WAS
               "[Address]\n" WAS "Address=192.0.2.5/24\n" WAS "# second\n\n" WAS "[Route]\n" WAS
               "Gateway=192.0.2.1\n" WAS "Metric=5\n\n[Route]\nDestination=10.0.0.0/8\n"
               "Gateway=192.0.2.9\n");
}

static void test_netctl(void **state)
{
    struct net *net = *state;

    dhcp(net, "ens192", "/etc/netctl/lan",
         "Description='LAN'\nInterface=ens192\nConnection=ethernet\nIP=static\n"
         "Address=('192.0.2.4/24'\n  '192.0.2.5/24')\nGateway='192.0.2.1'\nDNS=('192.0.2.53')\n");
    net_expect(net, "/etc/netctl/lan",
               "Description='LAN'\nInterface=ens192\nConnection=ethernet\nIP=dhcp\n" WAS
               "Address=('192.0.2.4/24'\n  " WAS "'192.0.2.5/24')\n" WAS "Gateway='192.0.2.1'\n"
               "DNS=('192.0.2.53')\n");
}

static void test_netplan(void **state)
{
    struct net *net = *state;

    dhcp(net, "ens192", "/etc/netplan/00-installer-config.yaml",
         "# subiquity\nnetwork:\n  ethernets:\n    ens192:\n      addresses:\n"
         "      - 192.0.2.11/24 # main\n      - 2001:db8::4/64\n      gateway4: 192.0.2.1\n"
         "      nameservers:\n        addresses:\n        - 192.0.2.53\n      routes:\n"
         "      - to: default\n        via: 192.0.2.1\n\n  vlans:\n    v5:\n      id: 5\n"
         "      link: ens192\n      addresses: [10.5.0.1/24]\n  version: 2\n");
    net_expect(net, "/etc/netplan/00-installer-config.yaml",
               "# subiquity\nnetwork:\n  ethernets:\n    ens192:\n      dhcp4: true\n"
               "      " WAS "addresses:\n      " WAS "- 192.0.2.11/24 # main\n"
               "      " WAS "- 2001:db8::4/64\n      " WAS "gateway4: 192.0.2.1\n"
               "      nameservers:\n        addresses:\n        - 192.0.2.53\n      " WAS
               "routes:\n      " WAS "- to: default\n        " WAS "via: 192.0.2.1\n\n"
               "  vlans:\n    v5:\n      id: 5\n      link: ens192\n"
               "      addresses: [10.5.0.1/24]\n  version: 2\n");
}

static void test_netplan_in_braces(void **state)
{
    struct net *net = *state;

    dhcp(net, NULL, "/etc/netplan/a.yaml",
         "network: {version: 2, ethernets: {ens192: {dhcp4: no, addresses: [192.0.2.4/24], "
         "gateway4: 192.0.2.1}, ens224: {addresses: [192.0.2.5/24], optional: true}}}");
    net_expect(net, "/etc/netplan/a.yaml",
               "network: {version: 2, ethernets: {ens192: {dhcp4: true, }, "
               "ens224: {dhcp4: true, optional: true}}}");
}

static void test_netplan_with_anchors_is_left(void **state)
{
    struct net *net = *state;
    static const char text[] = "x: &a [192.0.2.4/24]\nnetwork:\n  ethernets:\n    ens192:\n"
                               "      addresses: *a\n";

    dhcp(net, NULL, "/etc/netplan/a.yaml", text);
    net_expect(net, "/etc/netplan/a.yaml", text);
    assert_non_null(strstr(net->notes, "by hand"));
}

static void test_without_the_option_all_stays(void **state)
{
    struct net *net = *state;

    net_nic(net, MAC, "eth0");
    fake_text(&net->guest, "/etc/network/interfaces",
              "iface eth0 inet static\n address 1.2.3.4/8\n");
    fake_text(&net->guest, SCRIPTS "ifcfg-eth0", "DEVICE=eth0\nIPADDR=1.2.3.4\n");
    fake_text(&net->guest, "/etc/netctl/a", "Interface=eth0\nConnection=ethernet\nIP=static\n");
    fake_text(&net->guest, "/etc/sysconfig/network", "GATEWAY=1.2.3.1\n");
    net_morph(net);
    assert_string_equal(net->paths, "/etc/systemd/network/10-slipway-eth0.link ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, net_set_up, net_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ifupdown),
        TEST(test_ifupdown_bridge_over_bond),
        TEST(test_commands_are_told),
        TEST(test_no_client),
        TEST(test_ifcfg),
        TEST(test_ifcfg_without_bootproto_and_with_another_mac),
        TEST(test_ifcfg_of_suse),
        TEST(test_keyfile),
        TEST(test_networkd),
        TEST(test_netctl),
        TEST(test_netplan),
        TEST(test_netplan_in_braces),
        TEST(test_netplan_with_anchors_is_left),
        TEST(test_without_the_option_all_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
