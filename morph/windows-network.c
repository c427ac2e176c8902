/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Static addresses.  They belong to the card that was there; the virtio card is a new one for
 * Windows and would ask by DHCP.  A script of the first boot gives each card, found by its MAC
 * address, what the old card had.
 */
#include <string.h>

#include "base/str.h"
#include "morph/change.h"
#include "morph/windows-edit.h"
#include "morph/winnet.h"

#define CHANGE "network"

struct pairing {
    const struct winnet *net;
    bool used[WINNET_CARDS];
    struct winpin pins[WINNET_CARDS];
    size_t count;
};

static void pair(struct pairing *p, const struct nic *nic, size_t card)
{
    p->used[card] = true;
    if (wincard_is_configured(&p->net->cards[card]) && p->count < WINNET_CARDS)
        p->pins[p->count++] = (struct winpin){.mac = nic->mac, .card = &p->net->cards[card]};
}

/* The card of this name, or that recorded this address. */
static bool pair_known(struct pairing *p, const struct nic *nic)
{
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < p->net->count; i++) {
            const struct wincard *card = &p->net->cards[i];

            if (p->used[i] || (pass == 0 ? !nic->name || strcmp(card->connection, nic->name) != 0
                                         : strcmp(card->mac, nic->mac) != 0))
                continue;
            pair(p, nic, i);
            return true;
        }
    }
    return false;
}

/* Configured cards of which nothing tells whose they are; the first ones into `found`. */
static size_t find_left(const struct pairing *p, size_t found[static WINNET_CARDS])
{
    size_t count = 0;

    for (size_t i = 0; i < p->net->count; i++)
        if (!p->used[i] && !*p->net->cards[i].mac && wincard_is_configured(&p->net->cards[i]))
            found[count++] = i;
    return count;
}

/* What is left on both sides belongs together by its order when it is the same number. */
static void pair_left(struct pairing *p, const struct nic *const *nics, size_t nic_count,
                      struct plan *plan)
{
    size_t cards[WINNET_CARDS], count = find_left(p, cards);

    if (count == 0)
        return;
    if (count != nic_count) {
        plan_warn(plan, CHANGE,
                  "%zu network cards of the guest have static addresses of which nothing tells to "
                  "which of the VM's %zu cards they belong; set them by hand, or give --nic "
                  "MAC=NAME with the connections' names",
                  count, nic_count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const struct wincard *card = &p->net->cards[cards[i]];

        if (count > 1)
            plan_warn(plan, CHANGE,
                      "nothing tells which of the old cards is %s; by its order it gets the "
                      "addresses of '%s'",
                      nics[i]->mac, *card->connection ? card->connection : card->guid);
        pair(p, nics[i], cards[i]);
    }
}

static void make_pairs(const struct facts *facts, struct pairing *p, struct plan *plan)
{
    const struct request *q = facts->request;
    const struct nic *left[WINNET_CARDS];
    size_t count = 0;

    for (size_t i = 0; i < q->nic_count && i < WINNET_CARDS; i++)
        if (!pair_known(p, &q->nics[i]))
            left[count++] = &q->nics[i];
    pair_left(p, left, count, plan);
}

static char *describe_pins(const struct pairing *p)
{
    _cleanup_buffer_ struct buffer text = {0};

    for (size_t i = 0; i < p->count; i++) {
        const struct wincard *c = p->pins[i].card;

        buffer_printf(&text, "%s%s gets", i ? ", " : "", p->pins[i].mac);
        for (size_t a = 0; a < c->address_count; a++)
            buffer_printf(&text, " %s", c->addresses[a].ip);
        if (c->address_count == 0)
            buffer_printf(&text, " the name server %s", c->servers[0]);
    }
    buffer_add_text(&text, " at the first boot");
    return buffer_steal(&text);
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct windows *w = facts->windows;
    bool modern = windows_since(w, 6, 1);
    _cleanup_buffer_ struct buffer script = {0};
    struct winnet *net = mem_new(1, sizeof(*net));
    struct pairing *p = mem_new(1, sizeof(*p));
    int r = 0;

    p->net = net;
    winnet_read(w, net);
    if (facts->request->dhcp)
        plan_note(plan, CHANGE, "the cards ask for their addresses by DHCP, as wanted");
    else
        make_pairs(facts, p, plan);
    if (p->count > 0) {
        if (modern)
            winnet_write_powershell(&script, p->pins, p->count);
        else
            winnet_write_vbscript(&script, p->pins, p->count);
        r = windows_put_text(facts, plan, CHANGE,
                             modern ? "Slipway/network.ps1" : "Slipway/network.vbs", script.data,
                             describe_pins(p),
                             str_dup("Windows takes a card of another make for a new one, without "
                                     "the old one's addresses"),
                             err);
        buffer_add_text(&w->steps, "echo addresses of the network cards\n");
        buffer_add_text(&w->steps,
                        modern ? "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy "
                                 "Bypass -File \"%here%\\network.ps1\"\n"
                               : "cscript.exe //nologo \"%here%\\network.vbs\"\n");
        buffer_add_text(&w->steps, "if errorlevel 1 set failed=yes\n");
    }
    free(p);
    free(net);
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "static addresses are given to the new network cards at the first boot";
}

const struct change_ops change_windows_network = {
    .name = CHANGE,
    .applies = facts_is_windows,
    .apply = apply,
    .describe = describe,
};
