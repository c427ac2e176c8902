/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What "off" means:
 *   systemd  no link in a *.wants or *.requires directory, and a link to /dev/null masks the unit
 *   SysV     start links become stop links, as chkconfig and update-rc.d do it: a script without
 *            any link would be started again by the next upgrade of its package
 *   upstart  a job is manual by its .override file; RHEL 6, whose upstart knows none, loses the job
 *   OpenRC   no link in a runlevel
 */
#include "morph/init.h"

#include <ctype.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/aside.h"

#define UNITS "/etc/systemd/system"

enum init init_of(const struct tree *tree)
{
    _cleanup_free_ char *target = NULL;

    if (tree_readlink(tree, "/sbin/init", &target) == 0) {
        if (strstr(target, "systemd"))
            return INIT_SYSTEMD;
        if (strstr(target, "openrc"))
            return INIT_OPENRC;
    }
    if (tree_exists(tree, "/sbin/openrc"))
        return INIT_OPENRC;
    if (tree_exists(tree, "/sbin/initctl") && tree_kind(tree, "/etc/init") == TREE_DIR)
        return INIT_UPSTART;
    if (tree_exists(tree, "/lib/systemd/system") || tree_exists(tree, "/usr/lib/systemd/system"))
        return INIT_SYSTEMD;
    return INIT_SYSV;
}

static char *unit_name(const char *name)
{
    return str_format("%s%s", name, strchr(name, '.') ? "" : ".service");
}

static char *unit_file(const struct tree *tree, const char *name)
{
    static const char *const places[] = {"/lib/systemd/system", "/usr/lib/systemd/system", UNITS};
    _cleanup_free_ char *unit = unit_name(name);

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        _cleanup_free_ char *path = str_format("%s/%s", places[i], unit), *target = NULL;
        enum tree_kind kind = tree_kind(tree, path);

        if (kind == TREE_LINK && tree_readlink(tree, path, &target) == 0 &&
            strcmp(target, "/dev/null") == 0)
            continue;
        if (kind == TREE_FILE || kind == TREE_LINK)
            return steal_ptr(path);
    }
    return NULL;
}

char *service_file(const struct facts *facts, enum init init, const char *name)
{
    _cleanup_free_ char *script = str_format("/etc/init.d/%s", name);
    _cleanup_free_ char *job = str_format("/etc/init/%s.conf", name);

    if (init == INIT_SYSTEMD) {
        char *unit = unit_file(&facts->tree, name);

        if (unit)
            return unit;
    }
    if (init == INIT_UPSTART && tree_exists(&facts->tree, job))
        return steal_ptr(job);
    return tree_exists(&facts->tree, script) ? steal_ptr(script) : NULL;
}

/* Links to the unit in every *.wants and *.requires directory are removed. */
static int unit_unwant(const struct facts *facts, struct plan *plan, const struct service *s,
                       const char *unit, struct error **err)
{
    _cleanup_names_ char **directories = NULL;
    int r = tree_list(&facts->tree, UNITS, &directories, err);

    for (char **d = directories; r == 0 && *d; d++) {
        _cleanup_free_ char *path = str_format(UNITS "/%s/%s", *d, unit);
        const char *dot = strrchr(*d, '.');

        if (!dot || (strcmp(dot, ".wants") != 0 && strcmp(dot, ".requires") != 0))
            continue;
        if (tree_kind(&facts->tree, path) == TREE_LINK)
            plan_edit(plan, EDIT_REMOVE, s->change, path, NULL, 0,
                      str_format("%s is no longer started by %.*s", unit, (int)(dot - *d), *d),
                      str_dup(s->why));
    }
    return r;
}

static int unit_disable(const struct facts *facts, struct plan *plan, const struct service *s,
                        struct error **err)
{
    _cleanup_free_ char *unit = unit_name(s->name), *target = NULL;
    _cleanup_free_ char *path = str_format(UNITS "/%s", unit);
    enum tree_kind kind = tree_kind(&facts->tree, path);
    int r = unit_unwant(facts, plan, s, unit, err);

    if (r < 0 || (kind == TREE_LINK && tree_readlink(&facts->tree, path, &target) == 0 &&
                  strcmp(target, "/dev/null") == 0))
        return r;
    if (kind != TREE_NONE && kind != TREE_LINK) {
        plan_note(plan, s->change, "%s is a file of its own and cannot be masked; nothing wants it",
                  path);
        return 0;
    }
    plan_edit(plan, EDIT_LINK, s->change, path, str_dup("/dev/null"), strlen("/dev/null"),
              str_format("%s is masked", unit), str_dup(s->why));
    return 0;
}

char *runlevel_directory(const struct tree *tree, char level)
{
    /* Red Hat: /etc/rc3.d is a link to the first; SUSE: the second; Debian: the third. */
    static const char *const places[] = {"/etc/rc.d/rc%c.d", "/etc/init.d/rc%c.d", "/etc/rc%c.d"};

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        const char *mark = strchr(places[i], '%');
        _cleanup_free_ char *path =
            str_format("%.*s%c%s", (int)(mark - places[i]), places[i], level, mark + 2);

        if (tree_kind(tree, path) == TREE_DIR)
            return steal_ptr(path);
    }
    return NULL;
}

/* True for "S85name" (kind 'S') or "K15name" ('K'). */
static bool is_link_of(const char *link, char kind, const char *name)
{
    return link[0] == kind && isdigit((unsigned char)link[1]) && isdigit((unsigned char)link[2]) &&
           strcmp(link + 3, name) == 0;
}

static void stop_link(const struct facts *facts, struct plan *plan, const struct service *s,
                      const char *directory, const char *link)
{
    _cleanup_free_ char *old = str_format("%s/%s", directory, link), *target = NULL;
    int number = (link[1] - '0') * 10 + link[2] - '0';
    _cleanup_free_ char *new = str_format("%s/K%02d%s", directory, MIN(100 - number, 99), s->name);

    if (tree_readlink(&facts->tree, old, &target) < 0)
        return;
    plan_edit(plan, EDIT_REMOVE, s->change, old, NULL, 0,
              str_format("%s is not started in this runlevel", s->name), str_dup(s->why));
    if (!tree_exists(&facts->tree, new))
        plan_edit(plan, EDIT_LINK, s->change, new, str_dup(target), strlen(target),
                  str_format("%s is stopped in this runlevel", s->name),
                  str_dup("without a link, an upgrade of its package would start it again"));
}

static int script_disable(const struct facts *facts, struct plan *plan, const struct service *s,
                          struct error **err)
{
    int r = 0;

    for (const char *level = "S12345"; r == 0 && *level; level++) {
        _cleanup_free_ char *directory = runlevel_directory(&facts->tree, *level);
        _cleanup_names_ char **names = NULL;

        r = directory ? tree_list(&facts->tree, directory, &names, err) : 0;
        for (char **n = names; r == 0 && n && *n; n++)
            if (is_link_of(*n, 'S', s->name))
                stop_link(facts, plan, s, directory, *n);
    }
    return r;
}

/* True when one of the lines of text is `word`. */
static bool has_line(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at ? 1 : 0)
        if (strncmp(at, word, n) == 0 && (at[n] == '\n' || at[n] == '\0'))
            return true;
    return false;
}

static int job_disable(const struct facts *facts, struct plan *plan, const struct service *s,
                       struct error **err)
{
    _cleanup_free_ char *job = str_format("/etc/init/%s.conf", s->name);
    _cleanup_free_ char *path = str_format("/etc/init/%s.override", s->name), *text = NULL;
    char *data;
    size_t length;
    int r;

    if (tree_kind(&facts->tree, job) != TREE_FILE)
        return 0;
    if (facts->family == FAMILY_REDHAT)
        return aside_move(facts, plan, s->change, job, str_format("the job %s is gone", s->name),
                          s->why, err);
    r = tree_text(&facts->tree, path, &text, err);
    if (r < 0 || (text && has_line(text, "manual")))
        return r < 0 ? r : 0;
    length = text ? strlen(text) : 0;
    data = str_format("%s%smanual\n", text ? text : "",
                      length > 0 && text[length - 1] != '\n' ? "\n" : "");
    plan_edit(plan, EDIT_WRITE, s->change, path, data, strlen(data),
              str_format("the job %s starts only by hand", s->name), str_dup(s->why));
    return 0;
}

static int runlevels_disable(const struct facts *facts, struct plan *plan, const struct service *s,
                             struct error **err)
{
    _cleanup_names_ char **levels = NULL;
    int r = tree_list(&facts->tree, "/etc/runlevels", &levels, err);

    for (char **l = levels; r == 0 && *l; l++) {
        _cleanup_free_ char *path = str_format("/etc/runlevels/%s/%s", *l, s->name);

        if (tree_kind(&facts->tree, path) == TREE_LINK)
            plan_edit(plan, EDIT_REMOVE, s->change, path, NULL, 0,
                      str_format("%s is no longer in the runlevel %s", s->name, *l),
                      str_dup(s->why));
    }
    return r;
}

int service_disable(const struct facts *facts, struct plan *plan, enum init init,
                    const struct service *service, struct error **err)
{
    _cleanup_free_ char *file = service_file(facts, init, service->name);
    _cleanup_free_ char *unit = unit_name(service->name);
    _cleanup_free_ char *link = str_format(UNITS "/%s", unit);
    int r;

    /* A link without its unit: the package went, or comes back. */
    if (!file && !(init == INIT_SYSTEMD && tree_kind(&facts->tree, link) == TREE_LINK))
        return 0;
    switch (init) {
    case INIT_SYSTEMD:
        return unit_disable(facts, plan, service, err);
    case INIT_OPENRC:
        return runlevels_disable(facts, plan, service, err);
    case INIT_UPSTART:
        r = job_disable(facts, plan, service, err);
        return r < 0 ? r : script_disable(facts, plan, service, err);
    case INIT_SYSV:
        break;
    }
    return script_disable(facts, plan, service, err);
}

/* Start links in the runlevels of a running system; stop links there go. */
static int script_enable(const struct facts *facts, struct plan *plan, const struct service *s,
                         struct error **err)
{
    const char *levels = facts->family == FAMILY_SUSE ? "35" : "2345";
    int r = 0;

    for (; r == 0 && *levels; levels++) {
        _cleanup_free_ char *directory = runlevel_directory(&facts->tree, *levels);
        _cleanup_names_ char **names = NULL;
        bool starts = false;

        r = directory ? tree_list(&facts->tree, directory, &names, err) : 0;
        for (char **n = names; r == 0 && n && *n; n++) {
            _cleanup_free_ char *path = str_format("%s/%s", directory, *n);

            starts |= is_link_of(*n, 'S', s->name);
            if (is_link_of(*n, 'K', s->name) && tree_kind(&facts->tree, path) == TREE_LINK)
                plan_edit(plan, EDIT_REMOVE, s->change, path, NULL, 0,
                          str_format("%s is not stopped in this runlevel", s->name),
                          str_dup(s->why));
        }
        if (r == 0 && directory && !starts) {
            _cleanup_free_ char *path = str_format("%s/S85%s", directory, s->name);
            char *target = str_format(
                "%s%s", str_starts(directory, "/etc/init.d/") ? "../" : "../init.d/", s->name);

            plan_edit(plan, EDIT_LINK, s->change, path, target, strlen(target),
                      str_format("%s starts in this runlevel", s->name), str_dup(s->why));
        }
    }
    return r;
}

static int runlevel_enable(const struct facts *facts, struct plan *plan, const struct service *s,
                           struct error **err)
{
    _cleanup_names_ char **levels = NULL;
    _cleanup_free_ char *path = str_format("/etc/runlevels/default/%s", s->name), *target = NULL;
    int r = tree_list(&facts->tree, "/etc/runlevels", &levels, err);

    for (char **l = levels; r == 0 && *l; l++) {
        _cleanup_free_ char *link = str_format("/etc/runlevels/%s/%s", *l, s->name);

        if (tree_kind(&facts->tree, link) == TREE_LINK)
            return 0;
    }
    if (r < 0)
        return r;
    target = str_format("/etc/init.d/%s", s->name);
    plan_edit(plan, EDIT_LINK, s->change, path, str_dup(target), strlen(target),
              str_format("%s is in the runlevel default", s->name), str_dup(s->why));
    return 0;
}

int service_enable(const struct facts *facts, struct plan *plan, enum init init,
                   const struct service *service, struct error **err)
{
    _cleanup_free_ char *script = str_format("/etc/init.d/%s", service->name);

    if (init == INIT_SYSTEMD || !tree_exists(&facts->tree, script))
        return 0;
    if (init == INIT_OPENRC)
        return runlevel_enable(facts, plan, service, err);
    return script_enable(facts, plan, service, err);
}
