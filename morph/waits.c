/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/waits.h"

#include <string.h>

#include "base/str.h"
#include "morph/volume.h"

#define HOOK "hooks/initqueue/finished/devexists-"
#define HOOK_END ".sh"
#define UNIT "etc/systemd/system/"
#define UNIT_END ".device.d/timeout.conf"

static const char hook_text[] = ": # slipway-morph: a device of the source\n";
static const char unit_text[] = "# slipway-morph: a device of the source\n"
                                "[Unit]\nJobTimeoutSec=1\nJobRunningTimeoutSec=1\n";

/* What is between `start` and `end` in the name, or NULL. */
static const char *between(const char *name, const char *start, const char *end, size_t *ret_length)
{
    const char *at = strstr(name, start);
    size_t n = strlen(end), length;

    if (!at)
        return NULL;
    at += strlen(start);
    length = strlen(at);
    if (length <= n || strcmp(at + length - n, end) != 0)
        return NULL;
    *ret_length = length - n;
    return at;
}

bool wait_is_file(const char *name)
{
    size_t length;

    return between(name, HOOK, HOOK_END, &length) || between(name, UNIT, UNIT_END, &length);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\x2d" is '-' in both; in the name of a unit '-' is '/', and the first one is left out. */
static char *unescape(const char *text, size_t length, bool is_unit)
{
    char *out = mem_new(length + 2, 1), *to = out;

    if (is_unit)
        *to++ = '/';
    for (size_t n = 0; n < length; n++) {
        if (length - n >= 4 && text[n] == '\\' && text[n + 1] == 'x' && hex(text[n + 2]) >= 0 &&
            hex(text[n + 3]) >= 0) {
            *to++ = (char)(hex(text[n + 2]) << 4 | hex(text[n + 3]));
            n += 3;
        } else {
            *to++ = is_unit && text[n] == '-' ? '/' : text[n];
        }
    }
    return out;
}

void waits_add(struct initramfs *i, struct cpio_writer *w, struct buffer *names)
{
    for (size_t n = 0; n < i->text_count; n++) {
        const char *file = i->texts[2 * n], *text;
        _cleanup_free_ char *device = NULL;
        struct source_name name;
        size_t length;
        const char *part = between(file, HOOK, HOOK_END, &length);
        bool is_unit = !part;

        if (is_unit)
            part = between(file, UNIT, UNIT_END, &length);
        if (!part)
            continue;
        device = unescape(part, length, is_unit);
        text = is_unit ? unit_text : hook_text;
        if (!source_name_parse(device, &name) || strcmp(i->texts[2 * n + 1], text) == 0)
            continue;
        initramfs_add_file(i, w, file, text, strlen(text));
        buffer_printf(names, "%sno waiting for %s%s", names->length ? ", " : "", device,
                      is_unit ? " (systemd)" : "");
    }
}
