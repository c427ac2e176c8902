/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of network cards.  Predictable names come from where a card sits on the PCI bus, which is
 * different on the destination; the guest's static addresses are written for the old names.  So
 * each card keeps its old name by its MAC address, with a systemd .link file.
 *
 * Which name belongs to which MAC, in this order: the caller says so; the guest recorded it
 * (persistent-net rules, .link files, hwaddress, enx… names); one of each is left; by order, which
 * is a guess and is said to be one.
 */
#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/link.h"
#include "morph/netconfig.h"

#define LINKS "/etc/systemd/network"

static int read_file(struct facts *facts, const char *path, struct netconfig *config,
                     void (*read)(struct netconfig *, const char *), struct error **err)
{
    _cleanup_free_ char *text = NULL;
    int r = tree_text(&facts->tree, path, &text, err);

    if (r > 0)
        read(config, text);
    return r < 0 ? r : 0;
}

/* All files of a directory whose names end so. */
static int read_directory(struct facts *facts, const char *directory, const char *ending,
                          struct netconfig *config, void (*read)(struct netconfig *, const char *),
                          struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = tree_list(&facts->tree, directory, &names, err);

    for (char **n = names; r == 0 && n && *n; n++) {
        _cleanup_free_ char *path = str_format("%s/%s", directory, *n);
        size_t length = strlen(*n), end = strlen(ending);

        if (length > end && strcmp(*n + length - end, ending) == 0)
            r = read_file(facts, path, config, read, err);
    }
    return r;
}

static int read_configuration(struct facts *facts, struct netconfig *config, struct error **err)
{
    static const struct {
        const char *directory, *ending;
        void (*read)(struct netconfig *, const char *);
    } places[] = {
        {"/etc/udev/rules.d", "persistent-net.rules", netconfig_read_rules},
        {LINKS, ".link", netconfig_read_link},
        {"/etc/network/interfaces.d", "", netconfig_read_interfaces},
        {LINKS, ".network", netconfig_read_network},
        {"/etc/NetworkManager/system-connections", ".nmconnection", netconfig_read_keyfile},
    };
    int r = read_file(facts, "/etc/network/interfaces", config, netconfig_read_interfaces, err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++)
        r = read_directory(facts, places[i].directory, places[i].ending, config, places[i].read,
                           err);
    return r;
}

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

        if (!n->is_virtual && (strcasecmp(n->mac, mac) == 0 || name_is_mac(n->name, mac)))
            return n->name;
    }
    return NULL;
}

/* The first physical name nothing was decided about. */
static const char *next_free_name(const struct facts *facts, const struct netconfig *config)
{
    for (size_t i = 0; i < config->count; i++)
        if (!config->items[i].is_virtual && !name_is_pinned(facts, config->items[i].name))
            return config->items[i].name;
    return NULL;
}

static size_t free_names(const struct facts *facts, const struct netconfig *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->count; i++)
        count += !config->items[i].is_virtual && !name_is_pinned(facts, config->items[i].name);
    return count;
}

/* What neither the caller nor the guest tells: one to one, or by order. */
static void pair_rest(struct facts *facts, struct plan *plan, const struct netconfig *config)
{
    size_t names = free_names(facts, config), cards = 0;

    for (size_t i = 0; i < facts->request->nic_count; i++)
        cards += !mac_is_pinned(facts, facts->request->nics[i].mac);
    for (size_t i = 0; i < facts->request->nic_count; i++) {
        const char *mac = facts->request->nics[i].mac, *name;

        if (mac_is_pinned(facts, mac))
            continue;
        name = next_free_name(facts, config);
        if (!name) {
            plan_note(plan, "network",
                      "the guest's configuration names no further card: %s gets the name its "
                      "place on the bus gives",
                      mac);
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

static void decide(struct facts *facts, struct plan *plan, const struct netconfig *config)
{
    for (size_t i = 0; i < facts->request->nic_count; i++)
        if (facts->request->nics[i].name)
            add_pin(facts, facts->request->nics[i].mac, facts->request->nics[i].name);
    for (size_t i = 0; i < facts->request->nic_count; i++) {
        const char *mac = facts->request->nics[i].mac, *name = recorded_name(config, mac);

        if (!mac_is_pinned(facts, mac) && name && !name_is_pinned(facts, name))
            add_pin(facts, mac, name);
    }
    pair_rest(facts, plan, config);
}

/* Does a rule or .link file of the guest itself already do it? */
static bool guest_pins(const struct netconfig *config, const struct pin *pin)
{
    for (size_t i = 0; i < config->count; i++)
        if (config->items[i].pins && strcmp(config->items[i].name, pin->name) == 0 &&
            strcmp(config->items[i].mac, pin->mac) == 0)
            return true;
    return false;
}

static int propose(struct facts *facts, struct plan *plan, const struct netconfig *config,
                   const struct pin *pin, struct error **err)
{
    _cleanup_free_ char *file = link_file_name(pin), *text = link_text(pin), *old = NULL;
    _cleanup_free_ char *path = str_format(LINKS "/%s", file);
    size_t length = strlen(text);
    int r = tree_text(&facts->tree, path, &old, err);

    if (r < 0)
        return r;
    if (old ? strcmp(old, text) == 0 : guest_pins(config, pin))
        return 0;
    plan_edit(plan, EDIT_WRITE, "network", path, steal_ptr(text), length,
              str_format("the card with MAC %s is called %s", pin->mac, pin->name),
              str_dup("its place on the bus would give it another name, and the guest's addresses "
                      "are configured for this one"));
    return 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_free_ struct netconfig *config = mem_new(1, sizeof(*config));
    _cleanup_names_ char **netplan = NULL;
    int r = read_configuration(facts, config, err);

    if (r == 0)
        r = tree_list(&facts->tree, "/etc/netplan", &netplan, err);
    if (r < 0)
        return r;
    if (netplan && netplan[0])
        plan_warn(plan, "network",
                  "names in /etc/netplan are not read; give them with --nic MAC=NAME");
    if (facts->request->nic_count == 0 && free_names(facts, config) > 0)
        plan_warn(plan, "network",
                  "the guest configures '%s', but no --nic was given: its name may change and its "
                  "addresses be lost",
                  next_free_name(facts, config));
    decide(facts, plan, config);
    for (size_t i = 0; r == 0 && i < facts->pin_count; i++)
        r = propose(facts, plan, config, &facts->pins[i], err);
    return r;
}

static const char *describe(void)
{
    return "network cards keep their names by MAC address";
}

const struct change_ops change_linux_network = {
    .name = "network",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};
