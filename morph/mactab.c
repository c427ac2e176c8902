/* SPDX-License-Identifier: Apache-2.0 */
/* /etc/mactab of nameif, which mdev starts: how Alpine keeps names without udev.  Lines NAME MAC.
 */
#include <string.h>

#include "morph/netstyle.h"

static void read_text(struct netconfig *config, const char *file, const char *text)
{
    struct word line;
    char parsed[18];

    while (line_next(&text, &line)) {
        const char *at = line.at, *end = at + line.length;
        struct word name = word_next(&at, end), mac = word_next(&at, end);
        struct netname *n;

        if (mac.length > 4 && strncmp(mac.at, "mac=", 4) == 0)
            mac = (struct word){mac.at + 4, mac.length - 4};
        n = mac_parse(mac.at, mac.length, parsed) ? netconfig_entry(config, name) : NULL;
        if (n && netname_set_mac(config, n, mac))
            n->pins = n->table = true;
    }
}

static bool is_tabled(const struct netwish *wish, const struct pin *pin)
{
    const struct netname *n = netconfig_find(wish->config, pin->name);

    return n && n->table && strcmp(n->mac, pin->mac) == 0;
}

static void rewrite_text(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    struct word line;

    if (!wish->table)
        return;
    while (line_next(&text, &line)) {
        const char *at = line.at;
        struct word name = word_next(&at, line.at + line.length);
        const char *mac = netwish_pinned(wish, name);
        const struct pin *pin = NULL;

        for (size_t i = 0; mac && i < wish->pin_count; i++)
            if (word_is(name, wish->pins[i].name))
                pin = &wish->pins[i];
        pin && !is_tabled(wish, pin) ? netedit_comment(edit, line) : netedit_keep(edit, line);
    }
    for (size_t i = 0; i < wish->pin_count; i++) {
        if (is_tabled(wish, &wish->pins[i]))
            continue;
        if (edit->out.length > 0 && edit->out.data[edit->out.length - 1] != '\n')
            buffer_add_text(&edit->out, "\n");
        buffer_printf(&edit->out, "%s %s\n", wish->pins[i].name, wish->pins[i].mac);
        netedit_what(edit, "the card with MAC %s is called %s", wish->pins[i].mac,
                     wish->pins[i].name);
    }
}

/* mdev has to start nameif for each card. */
static void rewrite_mdev(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    const char *rest = text;
    struct word line;

    while (line_next(&rest, &line))
        if (line.length > 0 && *line.at != '#' && memmem(line.at, line.length, "nameif", 6))
            return;
    if (!wish->table || wish->pin_count == 0)
        return;
    buffer_add_text(&edit->out, "-SUBSYSTEM=net;DEVPATH=.*/net/.*;.*\troot:root 600 @nameif -s\n");
    buffer_add_text(&edit->out, text);
    netedit_what(edit, "names in /etc/mactab are given to cards when they appear");
}

const struct netstyle netstyle_mactab = {
    .name = "mactab",
    .directory = "/etc",
    .only = "mactab",
    .read = read_text,
    .rewrite = rewrite_text,
};

const struct netstyle netstyle_mdev = {
    .name = "mdev",
    .directory = "/etc",
    .only = "mdev.conf",
    .rewrite = rewrite_mdev,
};
