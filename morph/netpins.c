/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/netpins.h"

#include <fnmatch.h>
#include <string.h>

#include "base/str.h"
#include "morph/buffer.h"

static void add_pin(struct facts *facts, const char *mac, const char *name)
{
    struct pin *pins = reallocarray(facts->pins, facts->pin_count + 1, sizeof(*pins));

    if (!pins)
        abort();
    facts->pins = pins;
    pins[facts->pin_count] = (struct pin){.name = str_dup(name)};
    memcpy(pins[facts->pin_count].mac, mac, sizeof(pins->mac));
    facts->pin_count++;
}

static bool name_is_pinned(const struct facts *facts, const char *name)
{
    for (size_t i = 0; i < facts->pin_count; i++)
        if (strcmp(facts->pins[i].name, name) == 0)
            return true;
    return false;
}

static bool mac_is_pinned(const struct facts *facts, const char *mac)
{
    for (size_t i = 0; i < facts->pin_count; i++)
        if (strcmp(facts->pins[i].mac, mac) == 0)
            return true;
    return false;
}

/* enx001122aabbcc: the MAC is in the name. */
static bool name_is_mac(const char *name, const char *mac)
{
    char digits[16] = "enx";
    size_t n = 3;

    for (const char *p = mac; *p && n < sizeof(digits) - 1; p++)
        if (*p != ':')
            digits[n++] = *p;
    return strcmp(name, digits) == 0;
}

static const char *recorded_name(const struct netconfig *config, const char *mac)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct netname *n = &config->items[i];

        if (n->kind == NET_CARD && (strcmp(n->mac, mac) == 0 || name_is_mac(n->name, mac)))
            return n->name;
    }
    return NULL;
}

/* The configuration finds this card by its MAC address: it may be called anything. */
static bool needs_no_name(const struct netconfig *config, const char *mac)
{
    for (size_t i = 0; i < config->count; i++)
        if (config->items[i].kind == NET_LABEL && strcmp(config->items[i].mac, mac) == 0)
            return true;
    return false;
}

static bool is_free(const struct facts *facts, const struct netname *n)
{
    return n->kind == NET_CARD && n->configured && !name_is_pinned(facts, n->name);
}

/* The first name, ens224 before ens1024, that no card has yet. */
static const char *next_free_name(const struct facts *facts, const struct netconfig *config)
{
    const char *first = NULL;

    for (size_t i = 0; i < config->count; i++)
        if (is_free(facts, &config->items[i]) &&
            (!first || strverscmp(config->items[i].name, first) < 0))
            first = config->items[i].name;
    return first;
}

static size_t free_names(const struct facts *facts, const struct netconfig *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->count; i++)
        count += is_free(facts, &config->items[i]);
    return count;
}

static bool is_free_card(const struct facts *facts, const struct netconfig *config,
                         const struct nic *nic)
{
    return !mac_is_pinned(facts, nic->mac) && !needs_no_name(config, nic->mac);
}

/* A name for the card `number` that the guest's configuration finds, when that asks for names like
 * "ens*" which no card would have here; NULL when nothing has to be done.  The caller frees. */
static char *name_of_pattern(const struct netconfig *config, size_t number)
{
    _cleanup_free_ char *name = NULL;

    for (size_t i = 0; i < config->pattern_count; i++) {
        const char *pattern = config->patterns[i];
        size_t length = strlen(pattern);

        if (fnmatch(pattern, "enp1s0", 0) == 0)
            return NULL;
        if (name || pattern[length - 1] != '*')
            continue;
        name = str_format("%.*s%zu", (int)length - 1, pattern,
                          strcmp(pattern, "ens*") == 0 ? 192 + 32 * number : number);
        if (!netname_is_valid(name, strlen(name)) || netconfig_find(config, name)) {
            free(name);
            name = NULL;
        }
    }
    return steal_ptr(name);
}

/* No file names this card. */
static void name_unnamed(struct facts *facts, struct plan *plan, const struct netconfig *config,
                         size_t number)
{
    const char *mac = facts->request->nics[number].mac;
    _cleanup_free_ char *name = name_of_pattern(config, number);

    if (name && !name_is_pinned(facts, name)) {
        plan_note(plan, "network",
                  "%s is called %s, as the guest's configuration is for names like that", mac,
                  name);
        add_pin(facts, mac, name);
        return;
    }
    plan_note(plan, "network",
              "the guest's configuration names no further card: %s gets the name its place on the "
              "bus gives",
              mac);
}

/* What neither the caller nor the guest tells: one to one, or by order. */
static void pair_rest(struct facts *facts, struct plan *plan, const struct netconfig *config)
{
    size_t names = free_names(facts, config), cards = 0;
    const struct request *q = facts->request;

    for (size_t i = 0; i < q->nic_count; i++)
        cards += is_free_card(facts, config, &q->nics[i]);
    for (size_t i = 0; i < q->nic_count; i++) {
        const char *mac = q->nics[i].mac, *name;

        if (!is_free_card(facts, config, &q->nics[i]))
            continue;
        name = next_free_name(facts, config);
        if (!name) {
            name_unnamed(facts, plan, config, i);
            continue;
        }
        if (names != 1 || cards != 1)
            plan_warn(plan, "network",
                      "%s is taken for '%s' by order, as neither --nic nor the guest tells; give "
                      "--nic %s=NAME when that is wrong",
                      mac, name, mac);
        add_pin(facts, mac, name);
    }
}

void netpins_forget(struct facts *facts)
{
    for (size_t i = 0; i < facts->pin_count; i++) {
        free(facts->pins[i].name);
        free(facts->pins[i].settings);
    }
    free(facts->pins);
    facts->pins = NULL;
    facts->pin_count = 0;
}

void netpins_decide(struct facts *facts, struct plan *plan, const struct netconfig *config)
{
    const struct request *q = facts->request;

    netpins_forget(facts);
    if (q->nic_count == 0 && free_names(facts, config) > 0)
        plan_warn(plan, "network",
                  "the guest configures '%s', but no --nic was given: its name may change and its "
                  "addresses be lost",
                  next_free_name(facts, config));
    for (size_t i = 0; i < q->nic_count; i++)
        if (q->nics[i].name)
            add_pin(facts, q->nics[i].mac, q->nics[i].name);
    for (size_t i = 0; i < q->nic_count; i++) {
        const char *mac = q->nics[i].mac, *name = recorded_name(config, mac);

        if (!mac_is_pinned(facts, mac) && name && !name_is_pinned(facts, name))
            add_pin(facts, mac, name);
    }
    pair_rest(facts, plan, config);
}

static const char *name_of(const struct facts *facts, const char *mac)
{
    for (size_t i = 0; i < facts->pin_count; i++)
        if (strcmp(facts->pins[i].mac, mac) == 0)
            return facts->pins[i].name;
    return "";
}

void netpins_check_order(const struct facts *facts, struct plan *plan)
{
    const struct request *q = facts->request;

    for (size_t i = 0; i < q->nic_count; i++) {
        const char *name = name_of(facts, q->nics[i].mac);

        for (size_t n = 0; n < q->nic_count; n++) {
            _cleanup_free_ char *first = str_format("eth%zu", n);

            if (n == i || strcmp(name, first) != 0)
                continue;
            plan_warn(plan, "network",
                      "%s is to be %s, but as card %zu of the VM the kernel calls it eth%zu first, "
                      "and names cannot be exchanged: put the cards into the VM in the order of "
                      "their names",
                      q->nics[i].mac, name, i + 1, i);
        }
    }
}

static bool is_configured(const struct facts *facts, const struct netconfig *config,
                          const char *mac)
{
    const struct netname *n = netconfig_find(config, name_of(facts, mac));

    return needs_no_name(config, mac) || (n && n->configured);
}

static bool is_nic(const struct request *q, const char *mac)
{
    for (size_t i = 0; i < q->nic_count; i++)
        if (strcmp(q->nics[i].mac, mac) == 0)
            return true;
    return false;
}

/* How many MAC addresses that no card has are all a file tells. */
static size_t count_gone(const struct request *q, const struct netconfig *config)
{
    const char *first = NULL;
    size_t count = 0;

    for (size_t i = 0; i < config->count; i++) {
        const struct netname *n = &config->items[i];

        if (n->kind != NET_LABEL || !n->mac[0] || is_nic(q, n->mac) ||
            (first && strcmp(first, n->mac) == 0))
            continue;
        first = n->mac;
        count++;
    }
    return count;
}

const char *netpins_heir(const struct facts *facts, const struct netconfig *config)
{
    const struct request *q = facts->request;
    const char *heir = NULL;

    for (size_t i = 0; i < q->nic_count; i++) {
        if (is_configured(facts, config, q->nics[i].mac))
            continue;
        if (heir)
            return NULL;
        heir = q->nics[i].mac;
    }
    return count_gone(q, config) == 1 ? heir : NULL;
}

void netpins_check_names(const struct facts *facts, struct plan *plan,
                         const struct netconfig *config)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct netname *n = &config->items[i];
        const char *name = name_of(facts, n->mac);

        if (n->kind == NET_CARD && n->configured && n->mac[0] && *name &&
            strcmp(name, n->name) != 0)
            plan_warn(plan, "network",
                      "the guest's configuration says that %s is %s, not %s: look whether --nic "
                      "tells the right name",
                      n->mac, n->name, name);
    }
}
