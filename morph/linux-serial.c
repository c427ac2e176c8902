/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial console.  On the destination it is the one console that always works, so a guest that
 * has it must keep it; nothing here (nor in any other change) removes console= words or gettys.
 * This change only tells what is there: adding a console to a guest that has none would change
 * where its kernel messages go.
 */
#include "morph/bootline.h"
#include "morph/change.h"

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_free_ char *text = NULL, *mask = NULL;
    int r = tree_text(&facts->tree, "/boot/grub/grub.cfg", &text, err);

    if (r < 0)
        return r;
    if (r > 0 && bootline_has_word(text, "console=ttyS0"))
        plan_note(plan, "serial", "kernel messages and login stay on the serial console ttyS0");
    else
        plan_note(plan, "serial",
                  "the guest's kernel has no console=ttyS0: its serial console will stay silent");
    if (tree_readlink(&facts->tree, "/etc/systemd/system/serial-getty@ttyS0.service", &mask) == 0)
        plan_note(plan, "serial", "the serial login is set to '%s' in the guest and stays so",
                  mask);
    return 0;
}

static const char *describe(void)
{
    return "the serial console is kept as it is";
}

const struct change_ops change_linux_serial = {
    .name = "serial",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};
