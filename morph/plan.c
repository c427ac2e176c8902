/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/plan.h"

#include <stdarg.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/sha256.h"

/* An initramfs is the largest file that is changed. */
#define RUN_ROOM ((uint64_t)128 << 20) /* a new one next to the old one */
#define HASHED_MAX ((size_t)768 << 20)

/* clang-format off: one a line */
static const struct change_ops *const changes[] = {
    &change_linux_bootcheck,
    &change_linux_fstab,
    &change_linux_bootconfig,
    &change_linux_lvm,
    &change_linux_network,
    &change_linux_cloudinit,
    &change_linux_initramfs,
    &change_linux_bootdefault,
    &change_linux_uefi,
    &change_linux_serial,
    &change_linux_agents,
    &change_windows_v2v,
    &change_windows_drivers,
    &change_windows_network,
    &change_windows_agents,
    &change_windows_uefi,
    &change_windows_firstboot,
    &change_windows_registry,
    &change_linux_leftovers,
    &change_linux_accounts,
    &change_linux_firstboot,
    &change_linux_selinux,
};
/* clang-format on */

void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++) {
        free(plan->edits[i].path);
        free(plan->edits[i].data);
        free(plan->edits[i].what);
        free(plan->edits[i].why);
        free(plan->edits[i].label);
    }
    for (size_t i = 0; i < plan->note_count; i++)
        free(plan->notes[i].text);
    free(plan->edits);
    free(plan->notes);
    *plan = (struct plan){0};
}

const char *edit_kind_name(enum edit_kind kind)
{
    static const char *const names[] = {"write", "append", "link", "remove",
                                        "delete", "run", "done", "directory"};

    return names[kind];
}

/* What the files to be changed are now. */
static int fill_hashes(const struct facts *facts, struct plan *plan, struct error **err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < plan->edit_count; i++) {
        struct edit *e = &plan->edits[i];
        _cleanup_free_ char *old = NULL;
        size_t length;

        if (e->kind == EDIT_WRITE)
            sha256_hex(e->data, e->length, NULL, 0, e->after);
        if (e->kind != EDIT_WRITE && e->kind != EDIT_DELETE && e->kind != EDIT_RUN)
            continue;
        r = tree_read(&facts->tree, e->path, HASHED_MAX, &old, &length, err);
        if (r == 0)
            sha256_hex(old, length, NULL, 0, e->before);
        else if (r == -ENOENT)
            r = 0;
    }
    return r;
}

int plan_make(struct facts *facts, struct plan *ret_plan, struct error **err)
{
    struct plan plan = {0};

    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        int r = changes[i]->applies(facts) ? changes[i]->apply(facts, &plan, err) : 0;

        if (r < 0) {
            plan_done(&plan);
            return r;
        }
    }
    if (fill_hashes(facts, &plan, err) < 0) {
        plan_done(&plan);
        return -EIO;
    }
    *ret_plan = plan;
    return 0;
}

struct edit *plan_edit_at(struct plan *plan, size_t index, enum edit_kind kind, const char *change,
                          const char *path, char *data, size_t length, char *what, char *why)
{
    struct edit *edits = reallocarray(plan->edits, plan->edit_count + 1, sizeof(*edits));

    if (!edits)
        abort();
    plan->edits = edits;
    memmove(&edits[index + 1], &edits[index], (plan->edit_count - index) * sizeof(*edits));
    plan->edit_count++;
    edits[index] = (struct edit){.kind = kind,
                                 .change = change,
                                 .path = str_dup(path),
                                 .data = data,
                                 .length = length,
                                 .what = what,
                                 .why = why};
    return &edits[index];
}

/* Two changes of one file become one edit, so that the report has one line and one pair of hashes
 * for it.  Takes what the second edit owns. */
static struct edit *edit_again(struct edit *e, char *data, size_t length, char *what, char *why)
{
    char *both = str_format("%s; %s", e->what, what);

    free(e->data);
    free(e->what);
    free(what);
    e->data = data;
    e->length = length;
    e->what = both;
    if (!strstr(e->why, why)) {
        both = str_format("%s; %s", e->why, why);
        free(e->why);
        e->why = both;
    }
    free(why);
    return e;
}

struct edit *plan_edit(struct plan *plan, enum edit_kind kind, const char *change, const char *path,
                       char *data, size_t length, char *what, char *why)
{
    struct edit *before = kind == EDIT_WRITE ? plan_find(plan, path) : NULL;

    if (before && before->kind == EDIT_WRITE)
        return edit_again(before, data, length, what, why);
    return plan_edit_at(plan, plan->edit_count, kind, change, path, data, length, what, why);
}

struct edit *plan_find(const struct plan *plan, const char *path)
{
    for (size_t i = plan->edit_count; i > 0; i--)
        if (strcmp(plan->edits[i - 1].path, path) == 0)
            return &plan->edits[i - 1];
    return NULL;
}

int plan_text(const struct plan *plan, const struct tree *tree, const char *path, char **ret_text,
              struct error **err)
{
    const struct edit *e = plan_find(plan, path);

    if (e && e->kind == EDIT_WRITE) {
        *ret_text = str_format("%.*s", (int)e->length, e->data);
        return 1;
    }
    if (e && (e->kind == EDIT_DELETE || e->kind == EDIT_REMOVE)) {
        *ret_text = NULL;
        return 0;
    }
    return tree_text(tree, path, ret_text, err);
}

struct edit *plan_append(struct plan *plan, const char *change, const char *path, const void *old,
                         size_t old_length, char *data, size_t length, char *what, char *why)
{
    struct edit *e = plan_edit(plan, EDIT_APPEND, change, path, data, length, what, why);

    e->offset = old_length;
    sha256_hex_both(old, old_length, data, length, e->before, e->after);
    return e;
}

static void note_add(struct plan *plan, const char *change, bool warning, const char *fmt,
                     va_list ap)
{
    struct note *notes = reallocarray(plan->notes, plan->note_count + 1, sizeof(*notes));
    char *text;

    if (!notes || vasprintf(&text, fmt, ap) < 0)
        abort();
    plan->notes = notes;
    notes[plan->note_count++] = (struct note){.change = change, .text = text, .warning = warning};
}

void plan_note(struct plan *plan, const char *change, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    note_add(plan, change, false, fmt, ap);
    va_end(ap);
}

void plan_warn(struct plan *plan, const char *change, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    note_add(plan, change, true, fmt, ap);
    va_end(ap);
}

static bool is_below(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 &&
           (length == 1 || path[length] == '/' || path[length] == '\0');
}

void plan_bytes(const struct plan *plan, const char *const *directories, size_t count,
                uint64_t *ret_bytes)
{
    memset(ret_bytes, 0, count * sizeof(*ret_bytes));
    for (size_t i = 0; i < plan->edit_count; i++) {
        const struct edit *e = &plan->edits[i];
        size_t owner = count;

        for (size_t d = 0; d < count; d++)
            if (is_below(e->path, directories[d]) &&
                (owner == count || strlen(directories[d]) > strlen(directories[owner])))
                owner = d;
        if (owner < count)
            ret_bytes[owner] += e->kind == EDIT_RUN ? RUN_ROOM : round_up(e->length, 4096);
    }
}
