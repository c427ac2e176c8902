/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/windows-engine.h"

#include "base/str.h"
#include "morph/delegate.h"
#include "morph/driverset.h"

static const char *drivers_of(const struct facts *facts)
{
    return facts->request->virtio_win ? facts->request->virtio_win : driverset_default();
}

int windows_choose_engine(struct facts *facts, struct error **err)
{
    struct windows *w = facts->windows;
    enum windows_engine engine = facts->request->windows_engine;
    const char *why;

    w->by_v2v = false;
    if (engine == WINDOWS_ENGINE_OWN || windows_has_boot_driver(facts, "viostor"))
        return 0;
    w->by_v2v = delegate_is_ready(&why);
    if (w->by_v2v && !drivers_of(facts)) {
        w->by_v2v = false;
        why = "no Windows drivers are at hand (--virtio-win)";
    }
    if (!w->by_v2v)
        w->engine_why = why;
    if (engine == WINDOWS_ENGINE_V2V && !w->by_v2v)
        return error_set(err, ENOENT, "the guest was to be changed by virt-v2v-in-place, but %s",
                         why);
    return 0;
}

bool windows_was_v2v(const struct facts *facts)
{
    _cleanup_free_ char *left = windows_path(facts, "Drivers/VirtIO");

    return facts->windows->by_v2v || tree_exists(&facts->tree, left);
}

int windows_check_v2v(const struct facts *facts, struct error **err)
{
    struct driver_set set = {0};
    int r = driverset_load(drivers_of(facts), facts->windows, &set, err);

    if (r == 0 && driverset_find(&set, "viostor.sys") && !windows_has_boot_driver(facts, "viostor"))
        r = error_set(err, EIO,
                      "virt-v2v-in-place ended well, but the guest's registry does not start "
                      "viostor; try --windows-engine own");
    driverset_done(&set);
    return r;
}
