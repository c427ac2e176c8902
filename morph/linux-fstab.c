/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's user space looks for by device name: /etc/fstab, /etc/crypttab, mount units and
 * the resume device of initramfs-tools.  Source names become UUIDs; lines that name no hardware
 * (swap files, bind mounts, labels, logical volumes) stay byte for byte, and so do all options that
 * do not themselves name a device.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/fstab.h"
#include "morph/lasting.h"

#define RESUME_DIRECTORY "/etc/initramfs-tools/conf.d"
#define UNIT_DIRECTORY "/etc/systemd/system"

static const char why_names[] =
    "device names of the source's hardware do not exist on virtio; a UUID moves with the data";

/* One file being rewritten. */
struct rewrite {
    const struct facts *facts;
    struct plan *plan;
    const char *path;
    struct buffer out, what;
};

static void rewrite_done(struct rewrite *rw)
{
    buffer_done(&rw->out);
    buffer_done(&rw->what);
}

/* Plans the file when something was replaced in it. */
static void rewrite_finish(struct rewrite *rw)
{
    size_t length = rw->out.length;

    if (rw->what.length > 0)
        plan_edit(rw->plan, EDIT_WRITE, "fstab", rw->path, buffer_steal(&rw->out), length,
                  buffer_steal(&rw->what), str_dup(why_names));
    rewrite_done(rw);
}

/* The lasting name for a source name, NULL (with a note when it is not `optional`, a warning) when
 * it must stay. */
static char *lasting(struct rewrite *rw, const char *device, const char *type,
                     enum volume_form form, bool optional)
{
    struct source_name name;
    const char *why;
    char *value;

    if (!source_name_parse(device, &name))
        return NULL;
    value = volume_lasting_name(&rw->facts->volumes, device, type, form, &why);
    if (value)
        buffer_printf(&rw->what, "%s%s is now %s", rw->what.length ? ", " : "", device, value);
    else if (optional)
        plan_note(rw->plan, "fstab", "%s keeps '%s', which is not needed to boot: %s", rw->path,
                  device, why);
    else
        plan_warn(rw->plan, "fstab", "%s keeps '%s': %s", rw->path, device, why);
    return value;
}

/* Is `word` one of the comma separated options? */
static bool has_option(const char *options, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = options; (at = strstr(at, word)); at += n)
        if ((at == options || at[-1] == ',') && (at[n] == '\0' || at[n] == ',' || at[n] == '='))
            return true;
    return false;
}

/* key=/dev/sdb1 inside options: logdev=, header=, x-systemd.requires= and their like want a path.
 * NULL when nothing is to be changed. */
static char *lasting_options(struct rewrite *rw, const char *options)
{
    _cleanup_buffer_ struct buffer out = {0};
    bool changed = false;

    for (const char *at = options; *at;) {
        size_t item = strcspn(at, ","), key = strcspn(at, "=,");
        size_t value_at = key < item ? key + 1 : item;
        _cleanup_free_ char *device = str_format("%.*s", (int)(item - value_at), at + value_at);
        _cleanup_free_ char *value = lasting(rw, device, NULL, VOLUME_PATH, false);

        buffer_add(&out, at, value_at);
        buffer_add_text(&out, value ? value : device);
        changed |= value != NULL;
        at += item;
        if (*at == ',')
            buffer_add(&out, at++, 1);
    }
    return changed ? buffer_steal(&out) : NULL;
}

static void rewrite_mount(struct rewrite *rw, const struct fstab_line *line, char **values)
{
    _cleanup_free_ char *device = fstab_field(line, 0);
    _cleanup_free_ char *type = fstab_field(line, 2);
    _cleanup_free_ char *options = fstab_field(line, 3);
    bool optional = has_option(options, "noauto") || has_option(options, "nofail");

    values[0] = lasting(rw, device, type, VOLUME_SPEC, optional);
    values[3] = lasting_options(rw, options);
}

/* name device key options; a key may be DEVICE:PATH (initramfs-tools' passdev). */
static void rewrite_mapping(struct rewrite *rw, const struct fstab_line *line, char **values)
{
    static const char *const plain[] = {"plain", "swap", "tmp", "tcrypt", "bitlk"};
    _cleanup_free_ char *device = fstab_field(line, 1);
    _cleanup_free_ char *key = fstab_field(line, 2);
    _cleanup_free_ char *options = fstab_field(line, 3);
    _cleanup_free_ char *key_device = str_format("%.*s", (int)strcspn(key, ":"), key);
    _cleanup_free_ char *key_value = lasting(rw, key_device, NULL, VOLUME_PATH, false);
    const char *type = "crypto_LUKS";

    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (has_option(options, plain[i]))
            type = NULL;
    values[1] = lasting(rw, device, type, VOLUME_SPEC, has_option(options, "noauto"));
    if (key_value)
        values[2] = str_format("%s%s", key_value, key + strlen(key_device));
    values[3] = lasting_options(rw, options);
}

static void rewrite_lines(struct rewrite *rw, const char *text,
                          void (*line_change)(struct rewrite *, const struct fstab_line *, char **))
{
    const char *cursor = text;
    struct fstab_line line;

    while (fstab_next(&cursor, &line)) {
        char *values[FSTAB_FIELDS] = {NULL};

        if (line.fields > 0)
            line_change(rw, &line, values);
        fstab_copy_all(&rw->out, &line, values, cursor);
        for (size_t i = 0; i < FSTAB_FIELDS; i++)
            free(values[i]);
    }
}

static int rewrite_table(struct facts *facts, struct plan *plan, const char *path,
                         void (*line_change)(struct rewrite *, const struct fstab_line *, char **),
                         struct error **err)
{
    struct rewrite rw = {.facts = facts, .plan = plan, .path = path};
    _cleanup_free_ char *text = NULL;
    int r = plan_text(plan, &facts->tree, path, &text, err);

    if (r <= 0)
        return r;
    rewrite_lines(&rw, text, line_change);
    rewrite_finish(&rw);
    return 0;
}

char *fstab_lasting_crypttab(const struct facts *facts, struct plan *plan, const char *name,
                             const char *text)
{
    struct rewrite rw = {.facts = facts, .plan = plan, .path = name};
    char *changed = NULL;

    rewrite_lines(&rw, text, rewrite_mapping);
    if (rw.what.length > 0)
        changed = buffer_steal(&rw.out);
    rewrite_done(&rw);
    return changed;
}

/* KEY=/dev/sda5, perhaps in quotes, wherever a line starts with `key`. */
static int rewrite_setting(struct facts *facts, struct plan *plan, const char *path,
                           const char *key, const char *type, enum volume_form form,
                           struct error **err)
{
    struct rewrite rw = {.facts = facts, .plan = plan, .path = path};
    _cleanup_free_ char *text = NULL;
    const char *line;
    int r = plan_text(plan, &facts->tree, path, &text, err);

    if (r <= 0)
        return r;
    for (line = text; *line;) {
        size_t length = strcspn(line, "\n"), at = strlen(key);

        length += line[length] == '\n';
        if (str_starts(line, key)) {
            at += line[at] == '"' || line[at] == '\'';
            _cleanup_free_ char *device =
                str_format("%.*s", (int)strcspn(line + at, " \t\r\n#\"'"), line + at);
            _cleanup_free_ char *value = lasting(&rw, device, type, form, false);

            buffer_add(&rw.out, line, at);
            buffer_add_text(&rw.out, value ? value : device);
            at += strlen(device);
        } else {
            at = 0;
        }
        buffer_add(&rw.out, line + at, length - at);
        line += length;
    }
    rewrite_finish(&rw);
    return 0;
}

static int rewrite_resume(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = rewrite_setting(facts, plan, "/etc/initramfs-tools/initramfs.conf", "RESUME=", "swap",
                            VOLUME_SPEC, err);

    if (r >= 0)
        r = tree_list(&facts->tree, RESUME_DIRECTORY, &names, err);
    for (char **n = names; r >= 0 && n && *n; n++) {
        _cleanup_free_ char *path = str_format(RESUME_DIRECTORY "/%s", *n);

        r = rewrite_setting(facts, plan, path, "RESUME=", "swap", VOLUME_SPEC, err);
    }
    return r;
}

/* A swap unit is named after its device, so it cannot be given another one. */
static int rewrite_units(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = tree_list(&facts->tree, UNIT_DIRECTORY, &names, err);

    for (char **n = names; r >= 0 && n && *n; n++) {
        _cleanup_free_ char *path = str_format(UNIT_DIRECTORY "/%s", *n);
        const char *dot = strrchr(*n, '.');

        if (dot && strcmp(dot, ".mount") == 0 && tree_kind(&facts->tree, path) == TREE_FILE)
            r = rewrite_setting(facts, plan, path, "What=", NULL, VOLUME_PATH, err);
        else if (dot && strcmp(dot, ".swap") == 0 && str_starts(*n, "dev-sd"))
            plan_warn(plan, "fstab",
                      "%s names a device of the source and cannot work; put the "
                      "swap space into /etc/fstab",
                      path);
    }
    return r;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    int r = rewrite_table(facts, plan, "/etc/fstab", rewrite_mount, err);

    if (r >= 0)
        r = rewrite_table(facts, plan, "/etc/crypttab", rewrite_mapping, err);
    if (r >= 0)
        r = rewrite_resume(facts, plan, err);
    if (r >= 0)
        r = rewrite_units(facts, plan, err);
    return r < 0 ? r : 0;
}

static const char *describe(void)
{
    return "fstab, crypttab, mount units and the resume device name filesystems by UUID";
}

const struct change_ops change_linux_fstab = {
    .name = "fstab",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};
