/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/lvmconf.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"

#define VIRTIO_ELEMENT "\"a|^/dev/vd[a-z]+[0-9]*$|\""

/* The end of a comment or string at *p; p + 1 for anything else. */
static const char *skip_token(const char *p)
{
    if (*p == '#')
        return p + strcspn(p, "\n");
    if (*p != '"')
        return p + 1;
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

static const char *skip_space(const char *p)
{
    while (isspace((unsigned char)*p) || *p == '#')
        p = *p == '#' ? p + strcspn(p, "\n") : p + 1;
    return p;
}

/* "filter" or "global_filter" at text[at] with "= [" behind it: what follows the bracket.  They may
 * stand in a section or be written devices/filter. */
static const char *array_at(const char *text, const char *at, const char **ret_name)
{
    static const char *const names[] = {"filter", "global_filter"};

    if (at > text && (isalnum((unsigned char)at[-1]) || strchr("_-", at[-1])))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *p = at + strlen(names[i]);

        if (!str_starts(at, names[i]))
            continue;
        p = skip_space(p);
        if (*p != '=')
            continue;
        p = skip_space(p + 1);
        *ret_name = names[i];
        return *p == '[' ? p + 1 : NULL;
    }
    return NULL;
}

static bool has_any(const char *text, size_t length, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memmem(text, length, words[i], strlen(words[i])))
            return true;
    return false;
}

struct filter {
    const char *place;   /* behind the last element that accepts the source's disks */
    bool virtio_is_seen; /* something before that accepts virtio's disks, or all */
};

static void look_at_element(struct filter *f, const char *element, const char *end)
{
    static const char *const source[] = {"sd",    "hd",      "xvd",   "nvme",  "cciss",
                                         "mpath", "by-path", "by-id", "mmcblk"};
    static const char *const virtio[] = {"vd[",   "/vd",         "[vs]d",
                                         "[sv]d", "lvm-pv-uuid", "disk/by-partuuid"};
    static const char *const all[] = {"a|.*|",       "a/.*/",     "a|.|",     "a|/dev/.*|",
                                      "a|^/dev/.*|", "a|^/dev/|", "a|/dev/|", "a|^.*$|"};
    size_t length = (size_t)(end - element);
    bool accepts_all = false;

    if (length < 3 || *element != 'a')
        return;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        accepts_all |= length == strlen(all[i]) && strncmp(element, all[i], length) == 0;
    if (accepts_all || has_any(element, length, virtio, ARRAY_SIZE(virtio)))
        f->virtio_is_seen = true;
    else if (has_any(element, length, source, ARRAY_SIZE(source)))
        f->place = end + 1; /* behind the quote */
}

/* The array whose elements start at p; its end. */
static const char *look_at_array(struct filter *f, const char *p)
{
    while (*p && *p != ']') {
        const char *end = skip_token(p);

        if (*p == '"' && end > p + 1 && end[-1] == '"')
            look_at_element(f, p + 1, end - 1);
        p = end;
    }
    return p;
}

size_t lvmconf_admit(const char *text, struct buffer *out, struct buffer *what)
{
    const char *kept = text, *p = text, *name;
    size_t count = 0;

    while (*p) {
        const char *elements = array_at(text, p, &name);
        struct filter f = {0};

        if (!elements) {
            p = skip_token(p);
            continue;
        }
        p = look_at_array(&f, elements);
        if (!f.place || f.virtio_is_seen)
            continue;
        buffer_add(out, kept, (size_t)(f.place - kept));
        buffer_add_text(out, ", " VIRTIO_ELEMENT);
        buffer_printf(what, "%s%s", what->length ? ", " : "", name);
        kept = f.place;
        count++;
    }
    buffer_add_text(out, kept);
    return count;
}
