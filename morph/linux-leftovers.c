/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the old platform's tools left in the configuration and does harm on KVM: modprobe rules that
 * keep virtio away or replace PCI hotplug, an X server tied to a video card that is gone.  What
 * only names absent hardware (options vmw_pvscsi, udev's timeouts for VMware's disks) is harmless
 * and stays.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/aside.h"
#include "morph/change.h"
#include "morph/modprobe.h"

static int allow_virtio(struct facts *facts, struct plan *plan, const char *path,
                        struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL, *first = NULL;
    size_t count, length;
    int r = plan_text(plan, &facts->tree, path, &text, err);

    if (r <= 0)
        return r;
    count = modprobe_allow_virtio(text, &out, &first);
    if (count == 0)
        return 0;
    length = out.length;
    plan_edit(plan, EDIT_WRITE, "leftovers", path, buffer_steal(&out), length,
              count == 1 ? str_format("'%s' is a comment now", first)
                         : str_format("'%s' and %zu more are comments now", first, count - 1),
              str_dup("on KVM the guest's disk and card need these drivers"));
    return 0;
}

/* Written by vmware-config-tools.pl. */
static const char *const tools[] = {"/etc/modprobe.d/vmware-tools.conf",
                                    "/etc/modprobe.d/vmware-tools"};

static bool is_of_tools(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
        if (strcmp(path, tools[i]) == 0)
            return true;
    return false;
}

static int every_modprobe_file(struct facts *facts, struct plan *plan, struct error **err)
{
    static const char *const directories[] = {"/etc/modprobe.d", "/lib/modprobe.d",
                                              "/usr/lib/modprobe.d"};
    int r = allow_virtio(facts, plan, "/etc/modprobe.conf", err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(directories); i++) {
        _cleanup_names_ char **names = NULL;

        /* With merged /usr the same directory would come twice. */
        if (i == 2 && tree_kind(&facts->tree, "/lib") == TREE_LINK)
            break;
        r = tree_list(&facts->tree, directories[i], &names, err);
        for (char **n = names; r == 0 && *n; n++) {
            _cleanup_free_ char *path = str_format("%s/%s", directories[i], *n);

            if (tree_kind(&facts->tree, path) == TREE_FILE && !is_of_tools(path))
                r = allow_virtio(facts, plan, path, err);
        }
    }
    return r;
}

/* True when a line of xorg.conf names a driver of another platform's video card. */
static bool has_foreign_video(const char *text)
{
    static const char *const drivers[] = {"\"vmware\"", "\"vboxvideo\"", "\"prlvideo\"",
                                          "\"hyperv_fb\""};

    while (*text) {
        size_t length = strcspn(text, "\n"), blank = strspn(text, " \t");
        _cleanup_free_ char *line = str_format("%.*s", (int)MIN(length, (size_t)500), text);

        text += length + (text[length] == '\n');
        if (blank > strlen(line) || strncasecmp(line + blank, "driver", 6) != 0)
            continue;
        for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
            if (strcasestr(line, drivers[i]))
                return true;
    }
    return false;
}

static int move_xorg(struct facts *facts, struct plan *plan, struct error **err)
{
    static const char *const files[] = {"/etc/X11/xorg.conf", "/etc/X11/XF86Config"};
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *text = NULL;

        r = tree_text(&facts->tree, files[i], &text, err);
        if (r > 0 && has_foreign_video(text))
            r = aside_move(facts, plan, "leftovers", files[i],
                           str_dup("the X server looks for its video card by itself"),
                           "it names the driver of a video card that is gone", err);
    }
    return r < 0 ? r : 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    int r = every_modprobe_file(facts, plan, err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tools); i++)
        r = aside_move(facts, plan, "leftovers", tools[i],
                       str_dup("VMware Tools no longer choose among the guest's drivers"),
                       "it puts others in the place of the kernel's own PCI hotplug and cards",
                       err);
    if (r == 0)
        r = move_xorg(facts, plan, err);
    if (r == 0 && tree_kind(&facts->tree, "/etc/vmware-tools") == TREE_DIR &&
        tree_exists(&facts->tree, "/usr/bin/vmware-uninstall-tools.pl"))
        plan_note(plan, "leftovers",
                  "VMware Tools were installed from VMware's archive; they are off, and "
                  "vmware-uninstall-tools.pl in the guest removes them");
    return r;
}

static const char *describe(void)
{
    return "modprobe rules and X servers of other platforms do not get in the way";
}

const struct change_ops change_linux_leftovers = {
    .name = "leftovers",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};
