/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/link.h"

#include <fnmatch.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/buffer.h"
#include "morph/inifile.h"

char *link_file_name(const struct pin *pin)
{
    return str_format(LINK_PREFIX "%s.link", pin->name);
}

/* Any of the words, which may have wildcards, is the MAC address or the name. */
static bool any_fits(struct word list, const char *text, const char *also)
{
    const char *at = list.at, *end = at + list.length;

    for (struct word w = word_next(&at, end); w.length > 0; w = word_next(&at, end)) {
        _cleanup_free_ char *pattern = str_format("%.*s", (int)w.length, w.at);

        if (fnmatch(pattern, text, FNM_CASEFOLD) == 0 || fnmatch(pattern, also, 0) == 0)
            return true;
    }
    return false;
}

/* Does this line of [Match] let the card through?  At that moment the kernel calls it
 * eth-something, unless it has its name from the initramfs. */
static bool line_fits(const struct iniline *l, const struct pin *pin)
{
    if (iniline_is(l, "Match.MACAddress") || iniline_is(l, "Match.PermanentMACAddress"))
        return any_fits(l->value, pin->mac, pin->mac);
    if (iniline_is(l, "Match.OriginalName"))
        return any_fits(l->value, pin->name, "eth0");
    if (iniline_is(l, "Match.Driver"))
        return any_fits(l->value, "virtio_net", "virtio_net");
    if (iniline_is(l, "Match.Path"))
        return word_is(l->value, "*");
    return iniline_is(l, "Match.Type") && word_is(l->value, "ether");
}

static bool fits(const char *text, const struct pin *pin)
{
    struct iniline l = {.section = {text, 0}};

    if (word_is(inifile_get(text, "Link.Name"), pin->name))
        return true;
    while (inifile_next(&text, &l))
        if (l.key.length > 0 && word_is(l.section, "Match") && !line_fits(&l, pin))
            return false;
    return true;
}

char *link_settings(const char *text, const struct pin *pin)
{
    static const char *const naming[] = {"Name", "NamePolicy", "Description"};
    _cleanup_buffer_ struct buffer settings = {0};
    struct iniline l = {.section = {text, 0}};

    if (!fits(text, pin))
        return NULL;
    while (inifile_next(&text, &l))
        if (l.key.length > 0 && word_is(l.section, "Link") &&
            !word_is_any(l.key, naming, ARRAY_SIZE(naming)))
            buffer_printf(&settings, "%.*s=%.*s\n", (int)l.key.length, l.key.at,
                          (int)l.value.length, l.value.at);
    return settings.length > 0 ? buffer_steal(&settings) : NULL;
}

/* VLANs, bridges and bonds may carry the same MAC address as the card below them, but have no place
 * on a bus.  Type=ether would tell as much only from systemd 244 on: before, cards had no type. */
char *link_text(const struct pin *pin)
{
    return str_format("# Keeps the name this card had before the move to KVM.\n"
                      "[Match]\n"
                      "MACAddress=%s\n"
                      "Path=*\n"
                      "\n"
                      "[Link]\n"
                      "Name=%s\n"
                      "%s",
                      pin->mac, pin->name, pin->settings ? pin->settings : "");
}
