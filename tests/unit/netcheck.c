/* SPDX-License-Identifier: Apache-2.0 */
#include "netcheck.h"

#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/netstyle.h"

static const struct {
    const struct netstyle *style;
    const char *file;
} styles[NETCHECK_STYLES] = {
    {&netstyle_interfaces, "interfaces"},
    {&netstyle_interfaces_d, "lan"},
    {&netstyle_ifcfg, "ifcfg-eth0"},
    {&netstyle_ifcfg, "ifcfg-eth0:1"},
    {&netstyle_sysconfig, "network"},
    {&netstyle_ifcfg_suse, "ifcfg-eth0"},
    {&netstyle_routes_suse, "routes"},
    {&netstyle_wicked, "lan.xml"},
    {&netstyle_keyfile, "lan.nmconnection"},
    {&netstyle_network, "lan.network"},
    {&netstyle_netdev, "lan.netdev"},
    {&netstyle_link, "lan.link"},
    {&netstyle_netctl, "lan"},
    {&netstyle_netplan, "lan.yaml"},
    {&netstyle_rules, "70-persistent-net.rules"},
    {&netstyle_mactab, "mactab"},
    {&netstyle_routes, "route-eth0"},
};

static void fail(unsigned number, const char *what, const char *text, const char *more)
{
    fprintf(stderr, "%s %s: %s\n--- of\n%s\n--- came\n%s\n", styles[number].style->name,
            styles[number].file, what, text, more);
    abort();
}

static void read_text(unsigned number, const struct netwish *wish, struct netconfig *config,
                      const char *text)
{
    *config =
        (struct netconfig){.configuring = true, .nics = wish->nics, .nic_count = wish->nic_count};
    if (styles[number].style->read)
        styles[number].style->read(config, styles[number].file, text);
    for (size_t i = 0; i < config->count; i++) {
        const struct netname *n = &config->items[i];

        if (n->kind != NET_LABEL && !netname_is_valid(n->name, strlen(n->name)))
            fail(number, "a name that cannot be", text, n->name);
        netconfig_is_lan(config, n->name);
    }
}

/* The new text, or NULL when nothing has to change. */
static char *rewrite(unsigned number, const struct netwish *wish, const char *text)
{
    _cleanup_netedit_ struct netedit edit = {0};

    if (styles[number].style->rewrite)
        styles[number].style->rewrite(wish, styles[number].file, text, &edit);
    if (edit.what.length == 0)
        return NULL;
    return buffer_steal(&edit.out);
}

void netcheck(unsigned number, unsigned wishes, const char *text)
{
    static const struct nic nics[] = {{"52:54:00:00:00:01", NULL}, {"52:54:00:00:00:02", NULL}};
    static char lan[] = "ens192", wan[] = "eth0";
    const struct pin pins[] = {{"52:54:00:00:00:01", lan, NULL}, {"52:54:00:00:00:02", wan, NULL}};
    _cleanup_free_ struct netconfig *config = mem_new(1, sizeof(*config));
    _cleanup_free_ char *once = NULL, *twice = NULL;
    struct netwish wish = {.config = config,
                           .nics = nics,
                           .nic_count = wishes & 16 ? 1 : 2,
                           .pins = pins,
                           .pin_count = wishes & 16 ? 1 : 2,
                           .dhcp = wishes & 1,
                           .rules = wishes & 2,
                           .table = wishes & 4,
                           .hwaddr = wishes & 8};

    read_text(number, &wish, config, text);
    once = rewrite(number, &wish, text);
    if (!once)
        return;
    read_text(number, &wish, config, once);
    twice = rewrite(number, &wish, once);
    if (twice && strcmp(once, twice) != 0)
        fail(number, "rewriting it again changes it again", once, twice);
}
