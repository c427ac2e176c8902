/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial console.  On the destination it is the one console that always works (virsh console),
 * so a guest that has none gets one: kernel messages on ttyS0 beside the screen, which stays
 * /dev/console, and a login.  A guest that has one keeps it as it is, whatever it looks like.
 * --no-serial changes nothing.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/bootfile.h"
#include "morph/change.h"
#include "morph/init.h"

#define GRUB_DEFAULTS "/etc/default/grub"
#define SERIAL_WORD "console=ttyS0"

static const char why_console[] =
    "the serial console of the destination shows what happens when the network does not come up";
static const char why_login[] = "the serial console is of little use without a login";

struct serial {
    struct facts *facts;
    struct plan *plan;
    struct bootfile_list files;
    size_t lines; /* how many command lines that a boot loader reads got the console */
};

static int text_of(const struct serial *s, const char *path, char **ret_text, struct error **err)
{
    return plan_text(s->plan, &s->facts->tree, path, ret_text, err);
}

/* Is it on a command line that a boot loader reads?  1, 0 or an error. */
static int has_serial(const struct serial *s, struct error **err)
{
    int found = 0;

    for (size_t i = 0; found == 0 && i < s->files.count; i++) {
        _cleanup_free_ char *text = NULL;
        int r = s->files.items[i].live ? text_of(s, s->files.items[i].path, &text, err) : 0;

        if (r < 0)
            return r;
        found = text && bootline_has_word(s->files.items[i].form, text, SERIAL_WORD);
    }
    return found;
}

/* The console on the lines of one file.  Returns how many it were. */
static int add_to_file(struct serial *s, const struct bootfile *file, struct error **err)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *text = NULL;
    int r = text_of(s, file->path, &text, err);
    size_t count = r > 0 ? bootline_add_console(file->form, text, &out) : 0;

    if (r < 0 || count == 0)
        return r < 0 ? r : 0;
    bootfile_write(
        s->plan, "serial", file, text, &out,
        str_format("%zu command line%s with a console on ttyS0", count, count == 1 ? "" : "s"),
        why_console);
    return (int)count;
}

static bool is_grub_defaults(const struct bootfile *file)
{
    return str_starts(file->path, GRUB_DEFAULTS);
}

/* Of /etc/default/grub and what overrides it, the last file that sets a fitting variable counts. */
static int add_to_grub_defaults(struct serial *s, struct error **err)
{
    static const char line[] = "GRUB_CMDLINE_LINUX=\"console=ttyS0,115200n8 console=tty0\"\n";
    const struct bootfile *last = NULL, *first = NULL;

    for (size_t i = 0; i < s->files.count; i++) {
        const struct bootfile *file = &s->files.items[i];
        _cleanup_buffer_ struct buffer out = {0};
        _cleanup_free_ char *text = NULL;
        int r = is_grub_defaults(file) ? text_of(s, file->path, &text, err) : 0;

        if (r < 0)
            return r;
        if (!text)
            continue;
        if (bootline_has_word(file->form, text, SERIAL_WORD))
            return 0;
        first = strcmp(file->path, GRUB_DEFAULTS) == 0 ? file : first;
        last = bootline_add_console(file->form, text, &out) > 0 ? file : last;
    }
    if (last)
        return add_to_file(s, last, err);
    if (first) {
        _cleanup_free_ char *text = NULL;
        struct buffer out = {0};
        int r = text_of(s, first->path, &text, err);

        if (r <= 0)
            return r;
        buffer_printf(&out, "%s%s%s", text, *text && text[strlen(text) - 1] != '\n' ? "\n" : "",
                      line);
        bootfile_write(s->plan, "serial", first, text, &out,
                       str_dup("a line that gives new kernels a console on ttyS0"), why_console);
    }
    return 0;
}

static int add_consoles(struct serial *s, struct error **err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < s->files.count; i++) {
        const struct bootfile *file = &s->files.items[i];

        if (is_grub_defaults(file) || str_starts(file->path, "/etc/kernel/cmdline.d") ||
            str_starts(file->path, "/etc/cmdline.d"))
            continue;
        r = add_to_file(s, file, err);
        s->lines += r > 0 && file->live ? (size_t)r : 0;
    }
    return r < 0 ? r : add_to_grub_defaults(s, err);
}

/* One line at the end of a file that has none with `mark` (comments do not count). */
static int add_line(struct serial *s, const char *path, const char *mark, const char *line,
                    struct error **err)
{
    _cleanup_free_ char *text = NULL;
    struct buffer out = {0};
    size_t length;
    int r = text_of(s, path, &text, err);

    if (r <= 0)
        return r;
    for (const char *at = text; (at = strstr(at, mark)); at++) {
        const char *start = at;

        while (start > text && start[-1] != '\n')
            start--;
        if (*start != '#')
            return 0;
    }
    buffer_printf(&out, "%s%s%s\n", text, *text && text[strlen(text) - 1] != '\n' ? "\n" : "",
                  line);
    length = out.length;
    plan_edit(s->plan, EDIT_WRITE, "serial", path, buffer_steal(&out), length,
              str_format("a line: %s", line), str_dup(why_login));
    return 0;
}

static const char *getty_of(const struct facts *facts)
{
    return tree_exists(&facts->tree, "/sbin/getty") ? "/sbin/getty" : "/sbin/agetty";
}

/* System V's init and busybox's, which have the same table in different shapes. */
static int add_to_inittab(struct serial *s, struct error **err)
{
    _cleanup_free_ char *text = NULL, *line = NULL;
    int r = text_of(s, "/etc/inittab", &text, err);

    if (r <= 0)
        return r;
    if (str_starts(text, "::") || strstr(text, "\n::"))
        line = str_dup("ttyS0::respawn:/sbin/getty -L 115200 ttyS0 vt100");
    else
        line = str_format("%s:2345:respawn:%s -L ttyS0 115200 vt100",
                          strstr(text, "\nS0:") ? "T0" : "S0", getty_of(s->facts));
    return add_line(s, "/etc/inittab", "ttyS0", line, err);
}

static int add_upstart_job(struct serial *s, char *const *jobs)
{
    static const char path[] = "/etc/init/ttyS0.conf";
    char *data;

    for (; *jobs; jobs++)
        if (strstr(*jobs, "ttyS0"))
            return 0;
    data = str_format("# ttyS0 - getty on the serial console\n\n"
                      "start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\n\n"
                      "respawn\nexec %s -L ttyS0 115200 vt100\n",
                      getty_of(s->facts));
    plan_edit(s->plan, EDIT_WRITE, "serial", path, data, strlen(data),
              str_dup("a job of upstart that keeps a login on ttyS0"), str_dup(why_login));
    return 0;
}

/* systemd makes a login on every console of the kernel by itself. */
static int add_login(struct serial *s, struct error **err)
{
    const struct tree *tree = &s->facts->tree;
    enum init init = init_of(tree);
    _cleanup_names_ char **jobs = NULL;
    int r = 0;

    if (init == INIT_UPSTART) {
        r = tree_list(tree, "/etc/init", &jobs, err);
        if (r >= 0)
            r = add_upstart_job(s, jobs);
    } else if (init != INIT_SYSTEMD) {
        r = add_to_inittab(s, err);
    }
    return r < 0 ? r : add_line(s, "/etc/securetty", "ttyS0", "ttyS0", err);
}

static void tell_mask(struct serial *s)
{
    _cleanup_free_ char *mask = NULL;

    if (tree_readlink(&s->facts->tree, "/etc/systemd/system/serial-getty@ttyS0.service", &mask) ==
        0)
        plan_note(s->plan, "serial", "the serial login is set to '%s' in the guest and stays so",
                  mask);
}

static int change(struct serial *s, struct error **err)
{
    int r = has_serial(s, err);

    if (r < 0)
        return r;
    if (r > 0) {
        plan_note(s->plan, "serial", "kernel messages and login stay on the serial console ttyS0");
        tell_mask(s);
        return 0;
    }
    if (s->facts->request->no_serial) {
        plan_note(s->plan, "serial",
                  "the guest's kernel has no console=ttyS0 and --no-serial was given: its serial "
                  "console will stay silent");
        return 0;
    }
    r = add_consoles(s, err);
    if (r < 0)
        return r;
    if (s->lines == 0) {
        plan_warn(s->plan, "serial",
                  "no kernel command line was found that could get a console on ttyS0: the serial "
                  "console will stay silent");
        return 0;
    }
    tell_mask(s);
    return add_login(s, err);
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct serial s = {.facts = facts, .plan = plan};
    int r;

    /* ARM's console is ttyAMA0, and the firmware tells the kernel so. */
    if (tree_exists(&facts->tree, "/lib/ld-linux-aarch64.so.1") ||
        tree_exists(&facts->tree, "/lib/ld-musl-aarch64.so.1"))
        return 0;
    r = bootfile_list(&facts->tree, &s.files, err);
    if (r >= 0)
        r = change(&s, err);
    bootfile_list_done(&s.files);
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "the guest has a serial console with a login; one that it has stays as it is";
}

const struct change_ops change_linux_serial = {
    .name = "serial",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};
