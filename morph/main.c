/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slipway-morph: launch → inspect (survey, plan, space) → apply → verify → close.  Everything up to
 * apply only reads, so a failure there leaves the guest as it was.
 */
#include <stdio.h>
#include <string.h>

#include "base/accel.h"
#include "base/align.h"
#include "morph/guest.h"
#include "morph/interrupt.h"
#include "morph/options.h"
#include "morph/plan.h"
#include "morph/report.h"
#include "morph/survey.h"

#ifndef SLIPWAY_VERSION
#define SLIPWAY_VERSION "unknown"
#endif

#define EXIT_UNCHANGED 20 /* nothing was changed */

#define INODES_NEEDED 64

static int check_one(struct guest *guest, const char *directory, uint64_t needed,
                     struct error **err)
{
    struct guest_space space;
    int r = guest_space(guest, directory, &space, err);

    if (r < 0)
        return r;
    if (space.bytes < needed)
        return error_set(err, ENOSPC,
                         "the guest's filesystem for %s has %llu MiB free and needs %llu; make "
                         "room in the source and sync again",
                         directory, (unsigned long long)(space.bytes >> 20),
                         (unsigned long long)(needed >> 20) + 1);
    if (space.inodes < INODES_NEEDED)
        return error_set(err, ENOSPC,
                         "the guest's filesystem for %s has %llu free inodes and needs %d; remove "
                         "files in the source and sync again",
                         directory, (unsigned long long)space.inodes, INODES_NEEDED);
    return 0;
}

/* Edits are below these directories, of which each may be a filesystem of its own. */
static const struct {
    const char *directory, *except;
    uint64_t reserve; /* free space that must be left behind what the plan adds */
} places[] = {
    {"/", "/boot", (uint64_t)16 << 20},
    {"/boot", "/boot/efi", (uint64_t)2 << 20},
    {"/boot/efi", NULL, (uint64_t)256 << 10},
};

static int check_space(struct guest *guest, const struct plan *plan, struct error **err)
{
    struct guest_space space[ARRAY_SIZE(places)];
    uint64_t needed[ARRAY_SIZE(places)];
    int r = guest_space(guest, "/", &space[0], err);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++) {
        size_t owner = 0; /* the first place on the same filesystem */

        /* Where there is no such directory it will be made on the root filesystem. */
        if (i > 0 && guest_space(guest, places[i].directory, &space[i], NULL) < 0)
            space[i] = space[0];
        while (space[owner].id != space[i].id)
            owner++;
        needed[i] = 0;
        needed[owner] += plan_bytes(plan, places[i].directory, places[i].except);
    }
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++)
        if (needed[i] > 0)
            r = check_one(guest, places[i].directory, needed[i] + places[i].reserve, err);
    return r;
}

static int apply_edit(struct guest *guest, const struct edit *edit, struct error **err)
{
    switch (edit->kind) {
    case EDIT_WRITE:
        return guest_write(guest, edit->path, edit->data, edit->length, err);
    case EDIT_APPEND:
        return guest_append(guest, edit->path, edit->offset, edit->data, edit->length, err);
    case EDIT_LINK:
        return guest_link(guest, edit->path, edit->data, err);
    case EDIT_REMOVE:
        return guest_remove_link(guest, edit->path, err);
    }
    return -EINVAL;
}

static int apply(struct guest *guest, const struct plan *plan, const struct report *report,
                 struct error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->edit_count; i++) {
        r = apply_edit(guest, &plan->edits[i], err);
        if (r == 0)
            report_edit(report, &plan->edits[i]);
    }
    return r;
}

static int check_edit(struct guest *guest, const struct edit *edit, struct error **err)
{
    struct tree tree = guest_tree(guest);
    _cleanup_free_ char *target = NULL;

    if (edit->kind == EDIT_WRITE || edit->kind == EDIT_APPEND)
        return guest_check_bytes(guest, edit->path, edit->offset, edit->data, edit->length, err);
    if (edit->kind == EDIT_REMOVE
            ? tree_kind(&tree, edit->path) == TREE_NONE
            : tree_readlink(&tree, edit->path, &target) == 0 && strcmp(target, edit->data) == 0)
        return 0;
    return error_set(err, EIO, "%s is not as it was made", edit->path);
}

/* Reads every edit back from the disks. */
static int verify(struct guest *guest, const struct plan *plan, struct report *report,
                  struct error **err)
{
    int r;

    report_phase(report, "verify");
    r = guest_mount_again(guest, err);
    for (size_t i = 0; r == 0 && i < plan->edit_count; i++)
        r = check_edit(guest, &plan->edits[i], err);
    return r;
}

/* The whole run.  *changed becomes true before the first write. */
static int run(const struct options *o, struct report *report, struct facts *facts,
               struct plan *plan, bool *changed, struct error **err)
{
    const char *accel = o->accel;
    int r = strcmp(accel, "auto") == 0 ? accel_choose(&accel) : 0;
    const struct guest_options guest_options = {.disks = o->disks,
                                                .disk_count = o->disk_count,
                                                .read_only = o->dry_run,
                                                .kvm = strcmp(accel, "kvm") == 0,
                                                .cache_dir = o->cache_dir};
    struct guest *guest = NULL;

    if (r < 0)
        return error_set(err, -r, "SLIPWAY_ACCEL must be kvm or tcg");
    report_phase(report, "launch");
    r = guest_open(&guest_options, &guest, err);
    if (r < 0)
        return r;
    report_phase(report, "inspect");
    r = survey_guest(guest, o->root, facts, err);
    if (r == 0)
        r = plan_make(facts, plan, err);
    if (r == 0)
        r = check_space(guest, plan, err);
    if (r == 0 && !o->dry_run && plan->edit_count > 0) {
        report_phase(report, "apply");
        r = guest_make_writable(guest, err);
        if (r == 0) {
            *changed = true;
            r = apply(guest, plan, report, err);
        }
        if (r == 0)
            r = verify(guest, plan, report, err);
    }
    if (r < 0) {
        guest_abandon(guest);
        return r;
    }
    report_phase(report, "close");
    r = guest_close(guest, err);
    report_phase(report, NULL);
    return r;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    struct options options;
    struct facts facts = {0};
    struct plan plan = {0};
    struct report report;
    bool changed = false;
    int code = EXIT_CODE_OK;

    if (options_parse(argc, argv, &options, &err) < 0) {
        fprintf(stderr, "slipway-morph: %s\n", error_text(err));
        options_done(&options);
        return EXIT_CODE_USAGE;
    }
    interrupt_watch();
    report_begin(&report, options.json, options.dry_run);
    facts.nics = options.nics;
    facts.nic_count = options.nic_count;
    if (options.help) {
        fputs(options_help, stdout);
    } else if (options.version) {
        puts("slipway-morph " SLIPWAY_VERSION);
    } else if (run(&options, &report, &facts, &plan, &changed, &err) < 0) {
        if (interrupt_came()) {
            err = error_free(err);
            error_set(&err, ECANCELED, "ended by a signal");
        }
        report_failure(&report, err, changed);
        code = changed ? EXIT_CODE_FAILED : EXIT_UNCHANGED;
    } else if (report_result(&report, &facts, &plan) < 0) {
        code = changed ? EXIT_CODE_FAILED : EXIT_UNCHANGED;
    }
    plan_done(&plan);
    facts_done(&facts);
    options_done(&options);
    return code;
}
