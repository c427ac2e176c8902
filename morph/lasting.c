/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/lasting.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/lvmconf.h"

#define LOCAL "etc/lvm/lvmlocal.conf"

struct copies {
    struct initramfs *i;
    struct cpio_writer *w;
    struct buffer *added;
};

static void replace(struct copies *c, const char *name, const char *text)
{
    initramfs_add_file(c->i, c->w, name, text, strlen(text));
    buffer_printf(c->added, "%s/%s", c->added->length ? ", " : "", name);
}

static void copy_filter(struct copies *c, const char *name)
{
    _cleanup_buffer_ struct buffer out = {0}, what = {0};
    const char *text = initramfs_text(c->i, name);

    if (text && lvmconf_admit(text, &out, &what) > 0)
        replace(c, name, out.data);
}

/* A file cannot be removed by appending, so LVM is told not to look at it. */
static void ignore_devices(struct copies *c)
{
    static const char setting[] = "devices {\n\tuse_devicesfile = 0\n}\n";
    const char *local = initramfs_text(c->i, LOCAL);
    _cleanup_free_ char *text = NULL;

    if (!initramfs_text(c->i, "etc/lvm/devices/system.devices") ||
        (local && strstr(local, setting)))
        return;
    text = str_format("%s%s", local ? local : "", setting);
    replace(c, LOCAL, text);
}

void lasting_copies(const struct facts *facts, struct plan *plan, struct initramfs *i,
                    struct cpio_writer *w, struct buffer *added)
{
    struct copies c = {.i = i, .w = w, .added = added};
    const char *crypttab = initramfs_text(i, "etc/crypttab");
    _cleanup_free_ char *changed =
        crypttab ? fstab_lasting_crypttab(facts, plan, "the initramfs's crypttab", crypttab) : NULL;

    if (changed)
        replace(&c, "etc/crypttab", changed);
    copy_filter(&c, "etc/lvm/lvm.conf");
    ignore_devices(&c);
}
