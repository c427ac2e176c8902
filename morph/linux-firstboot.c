/* SPDX-License-Identifier: Apache-2.0 */
/* What can only be done by the running guest is left for its first boot: packages, user scripts. */
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/firstboot.h"
#include "morph/hostfile.h"

#define CHANGE "firstboot"
#define PACKAGES_MAX ((size_t)256 << 20)

/* Proposes a new file unless it is there with the same content.  Data is copied. */
static int put(struct facts *facts, struct plan *plan, const char *path, const char *data,
               size_t length, int mode, const char *what, const char *why, struct error **err)
{
    _cleanup_free_ char *old = NULL;
    char *copy;
    size_t old_length;
    int r = tree_read(&facts->tree, path, PACKAGES_MAX, &old, &old_length, err);

    if (r < 0 && r != -ENOENT)
        return r;
    if (r == 0 && old_length == length && memcmp(old, data, length) == 0)
        return 0;
    copy = mem_new(length + 1, 1);
    memcpy(copy, data, length);
    plan_edit(plan, EDIT_WRITE, CHANGE, path, copy, length, str_dup(what), str_dup(why))->mode =
        mode;
    return 0;
}

static void put_link(struct facts *facts, struct plan *plan, const char *path, const char *target)
{
    if (!tree_exists(&facts->tree, path))
        plan_edit(plan, EDIT_LINK, CHANGE, path, str_dup(target), strlen(target),
                  str_dup("the first boot runs what is left to be done"),
                  str_dup("the guest itself must do it"));
}

/* Which files are packages of the guest's family. */
static const char *const *package_endings(enum family family)
{
    static const char *const deb[] = {".deb", NULL}, *const rpm[] = {".rpm", NULL},
                             *const apk[] = {".apk", NULL},
                             *const arch[] = {".pkg.tar.zst", ".pkg.tar.xz", NULL};

    switch (family) {
    case FAMILY_DEBIAN:
        return deb;
    case FAMILY_ALPINE:
        return apk;
    case FAMILY_ARCH:
        return arch;
    default:
        return rpm;
    }
}

/* The folder for the guest in the caller's: ID-VERSION, ID, or the folder itself. */
static char *packages_folder(const struct facts *facts)
{
    const char *top = facts->request->packages;
    _cleanup_free_ char *exact = str_format("%s/%s-%s", top, facts->os.id, facts->os.version);
    _cleanup_free_ char *system = str_format("%s/%s", top, facts->os.id);
    struct stat st;

    if (strchr(facts->os.id, '/') || strchr(facts->os.version, '/') || *facts->os.id == '.')
        return str_dup(top);
    if (stat(exact, &st) == 0 && S_ISDIR(st.st_mode))
        return steal_ptr(exact);
    return stat(system, &st) == 0 && S_ISDIR(st.st_mode) ? steal_ptr(system) : str_dup(top);
}

/* Copies the packages; 1 when there are any. */
static int put_packages(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_hostfiles_ struct hostfiles files = {0};
    _cleanup_free_ char *folder = packages_folder(facts);
    int r =
        hostfiles_add_directory(&files, folder, package_endings(facts->family), PACKAGES_MAX, err);

    for (size_t i = 0; r == 0 && i < files.count; i++) {
        const struct hostfile *f = &files.items[i];
        _cleanup_free_ char *path = str_format(FIRSTBOOT_PACKAGES "/%s", f->name);

        r = put(facts, plan, path, f->data, f->length, 0644, "a package for the first boot",
                "--packages has it for the guest's system", err);
    }
    if (r == 0 && files.count == 0)
        plan_warn(plan, CHANGE, "'%s' has no package for a guest of the kind %s", folder,
                  family_name(facts->family));
    if (r == 0 && files.count > 0)
        r = put(facts, plan, FIRSTBOOT_STEPS "/10-packages", firstboot_packages,
                strlen(firstboot_packages), 0700, "the first boot installs packages",
                "installing runs code of the guest, which is left to the guest", err);
    return r < 0 ? r : files.count > 0;
}

/* A name for a step: what a shell and a directory listing take without harm. */
static char *step_path(size_t number, const char *name)
{
    char *path = str_format(FIRSTBOOT_STEPS "/%02zu-%.100s", 50 + number, name);

    for (char *p = path + strlen(FIRSTBOOT_STEPS "/"); *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            *p = '_';
    return path;
}

/* Steps into FIRSTBOOT_STEPS; 1 when there are any. */
static int put_steps(struct facts *facts, struct plan *plan, struct error **err)
{
    const struct request *q = facts->request;
    int r = 0, any = 0;

    if (q->packages && !facts->guest_agent)
        r = any = put_packages(facts, plan, err);
    if (r >= 0 && q->install_agent && !facts->guest_agent && !any) {
        any = 1;
        r = put(facts, plan, FIRSTBOOT_STEPS "/20-agent", firstboot_agent, strlen(firstboot_agent),
                0700, "the first boot installs the QEMU guest agent",
                "--install-agent; the guest has none", err);
    }
    for (size_t i = 0; r >= 0 && i < q->script_firstboot.count; i++) {
        const struct hostfile *f = &q->script_firstboot.items[i];
        _cleanup_free_ char *path = step_path(i, f->name);

        if (hostfile_is_windows_script(f->name))
            return error_set(err, EINVAL, "--script-firstboot '%s': the guest runs Linux", f->name);
        any = 1;
        r = put(facts, plan, path, f->data, f->length, 0700, "a script for the first boot",
                "--script-firstboot gives it", err);
    }
    return r < 0 ? r : any;
}

/* rc.local of guests with SysV and upstart; SUSE's has another name. */
static const char *local_of(const struct facts *facts)
{
    if (facts->family == FAMILY_REDHAT)
        return "/etc/rc.d/rc.local";
    return facts->family == FAMILY_SUSE ? "/etc/init.d/after.local" : "/etc/rc.local";
}

static int hook_local(struct facts *facts, struct plan *plan, const char *local, struct error **err)
{
    _cleanup_free_ char *old = NULL, *text = NULL;
    int r = plan_text(plan, &facts->tree, local, &old, err);

    if (r < 0)
        return r;
    text = firstboot_local(old ? old : "");
    if (text)
        plan_edit(plan, EDIT_WRITE, CHANGE, local, str_dup(text), strlen(text),
                  str_dup("the first boot runs what is left to be done"),
                  str_dup("the guest itself must do it"))
            ->mode = 0755;
    return 0;
}

/* Makes the guest start the runner. */
static int hook(struct facts *facts, struct plan *plan, enum init init, struct error **err)
{
    int r;

    switch (init) {
    case INIT_SYSTEMD:
        r = put(facts, plan, FIRSTBOOT_UNIT, firstboot_unit, strlen(firstboot_unit), 0644,
                "a unit for the first boot", "it removes itself", err);
        put_link(facts, plan, FIRSTBOOT_WANTED, FIRSTBOOT_UNIT);
        return r;
    case INIT_OPENRC:
        r = put(facts, plan, FIRSTBOOT_SCRIPT, firstboot_script, strlen(firstboot_script), 0755,
                "a service for the first boot", "it removes itself", err);
        put_link(facts, plan, FIRSTBOOT_RUNLEVEL, FIRSTBOOT_SCRIPT);
        return r;
    default:
        return hook_local(facts, plan, local_of(facts), err);
    }
}

static bool applies(const struct facts *facts)
{
    const struct request *q = facts->request;

    return facts_is_linux(facts) &&
           (q->packages || q->install_agent || q->script_firstboot.count > 0);
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    enum init init = init_of(&facts->tree);
    bool by_local = init == INIT_SYSV || init == INIT_UPSTART;
    _cleanup_free_ char *runner = firstboot_runner(by_local ? local_of(facts) : NULL);
    int r = put_steps(facts, plan, err);

    if (r <= 0)
        return r;
    r = put(facts, plan, FIRSTBOOT_RUNNER, runner, strlen(runner), 0755,
            "the first boot has steps to run",
            "each runs once, in order, with a log in /var/log/slipway-firstboot.log", err);
    return r < 0 ? r : hook(facts, plan, init, err);
}

static const char *describe(void)
{
    return "packages and scripts of the caller wait for the guest's first boot";
}

const struct change_ops change_linux_firstboot = {
    .name = CHANGE,
    .applies = applies,
    .apply = apply,
    .describe = describe,
};
