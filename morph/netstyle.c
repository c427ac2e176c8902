/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/netstyle.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"

/* More than a person reads; a file with thousands of stanzas is not told stanza by stanza. */
#define SENTENCES_MAX 2000

bool netwish_dhcp(const struct netwish *wish, struct word name)
{
    char exact[NETNAME_MAX];

    if (!wish->dhcp)
        return false;
    if (name.length == 0 || memchr(name.at, '*', name.length) || memchr(name.at, '?', name.length))
        return true;
    if (name.length >= sizeof(exact))
        return false;
    memcpy(exact, name.at, name.length);
    exact[name.length] = '\0';
    return netconfig_is_lan(wish->config, exact);
}

static bool has_nic(const struct netwish *wish, const char *mac)
{
    for (size_t i = 0; i < wish->nic_count; i++)
        if (strcmp(wish->nics[i].mac, mac) == 0)
            return true;
    return false;
}

const char *netwish_pinned(const struct netwish *wish, struct word name)
{
    for (size_t i = 0; i < wish->pin_count; i++)
        if (word_is(name, wish->pins[i].name))
            return wish->pins[i].mac;
    return NULL;
}

const char *netwish_mac(const struct netwish *wish, struct word name, struct word old)
{
    char mac[18];

    if (!mac_parse(old.at, old.length, mac) || has_nic(wish, mac))
        return NULL;
    return name.length > 0 ? netwish_pinned(wish, name) : wish->heir;
}

bool netwish_is_source_driver(struct word driver)
{
    static const char *const drivers[] = {
        "vmxnet3",  "vmxnet",       "e1000",  "e1000e",  "igb",          "pcnet32", "hv_netvsc",
        "netvsc",   "xen_netfront", "xennet", "vif",     "xen-netfront", "8139cp",  "8139too",
        "ne2k-pci", "tulip",        "ena",    "ixgbevf", "de4x5",        "igbvf",   "gve",
    };

    return word_is_any(driver, drivers, ARRAY_SIZE(drivers));
}

void netedit_done(struct netedit *edit)
{
    buffer_done(&edit->out);
    buffer_done(&edit->what);
    buffer_done(&edit->warning);
}

/* What ended the line comes along: nothing at the end of a file without a newline. */
void netedit_keep(struct netedit *edit, struct word line)
{
    buffer_add(&edit->out, line.at, line.length + (line.at[line.length] == '\n'));
}

void netedit_comment(struct netedit *edit, struct word line)
{
    size_t blanks = 0;

    while (blanks < line.length && isspace((unsigned char)line.at[blanks]))
        blanks++;
    buffer_add(&edit->out, line.at, blanks);
    buffer_add_text(&edit->out, "# before slipway-morph: ");
    netedit_keep(edit, (struct word){line.at + blanks, line.length - blanks});
}

void netedit_replace(struct netedit *edit, struct word line, struct word old, const char *text)
{
    const char *behind = old.at + old.length;

    buffer_add(&edit->out, line.at, (size_t)(old.at - line.at));
    buffer_add_text(&edit->out, text);
    netedit_keep(edit, (struct word){behind, (size_t)(line.at + line.length - behind)});
}

static void add_sentence(struct buffer *to, const char *fmt, va_list ap)
{
    char *text;

    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    if (to->length < SENTENCES_MAX && (!to->data || !strstr(to->data, text)))
        buffer_printf(to, "%s%s", to->length ? "; " : "", text);
    free(text);
}

void netedit_what(struct netedit *edit, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_sentence(&edit->what, fmt, ap);
    va_end(ap);
}

void netedit_warn(struct netedit *edit, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_sentence(&edit->warning, fmt, ap);
    va_end(ap);
}

bool shellvar_parse(struct word line, struct word *ret_name, struct word *ret_value)
{
    struct word w = word_trim(line), value;
    const char *equals;
    char quote;

    if (w.length > 7 && strncmp(w.at, "export ", 7) == 0)
        w = word_trim((struct word){w.at + 7, w.length - 7});
    equals = memchr(w.at, '=', w.length);
    if (!equals || w.at[0] == '#')
        return false;
    *ret_name = (struct word){w.at, (size_t)(equals - w.at)};
    for (size_t i = 0; i < ret_name->length; i++)
        if (!isalnum((unsigned char)w.at[i]) && w.at[i] != '_')
            return false;
    value = (struct word){equals + 1, w.length - ret_name->length - 1};
    quote = value.length > 0 ? *value.at : '\0';
    if (quote == '"' || quote == '\'') {
        const char *close = memchr(value.at + 1, quote, value.length - 1);

        value.at++;
        value.length = close ? (size_t)(close - value.at) : value.length - 1;
    } else if (quote != '(') {
        size_t length = 0;

        while (length < value.length && !strchr(" \t#;", value.at[length]))
            length++;
        value.length = length;
    }
    *ret_value = value;
    return ret_name->length > 0;
}

struct word shellvar_get(const char *text, const char *name)
{
    struct word line, key, value, found = {text, 0};

    while (line_next(&text, &line))
        if (shellvar_parse(line, &key, &value) && word_is(key, name))
            found = value;
    return found;
}
