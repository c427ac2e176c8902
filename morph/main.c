/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slipway-morph: launch → inspect (survey, plan, space) → apply → verify → close.  Everything up to
 * apply only reads, so a failure there leaves the guest as it was.
 */
#include <stdio.h>
#include <string.h>

#include "base/accel.h"
#include "base/str.h"
#include "morph/apply.h"
#include "morph/delegate.h"
#include "morph/driverset.h"
#include "morph/guest.h"
#include "morph/inspect.h"
#include "morph/interrupt.h"
#include "morph/keys.h"
#include "morph/options.h"
#include "morph/plan.h"
#include "morph/recipe.h"
#include "morph/report.h"
#include "morph/scripts.h"
#include "morph/space.h"
#include "morph/survey.h"
#include "morph/windows-engine.h"
#include "morph/wait.h"

#ifndef SLIPWAY_VERSION
#define SLIPWAY_VERSION "unknown"
#endif

#define EXIT_UNCHANGED 20 /* nothing was changed */

/* What a program of the guest made must leave nothing to be done: the plan is made once more. */
static int check_runs(struct facts *facts, const struct plan *plan, struct error **err)
{
    struct plan again = {0};
    int r = 0;
    bool ran = false;

    for (size_t i = 0; i < plan->edit_count; i++)
        ran |= plan->edits[i].kind == EDIT_RUN;
    if (ran)
        r = plan_make(facts, &again, err);
    if (r == 0 && again.edit_count > 0)
        r = error_set(err, EIO, "after the guest's own program ran, %s still lacks something: %s",
                      again.edits[0].path, again.edits[0].what);
    plan_done(&again);
    return r;
}

/* *changed becomes true before the first write. */
static int carry_out(struct guest *guest, struct report *report, struct facts *facts,
                     struct plan *plan, const char *record, bool *changed, struct error **err)
{
    int r;

    report_phase(report, "apply");
    r = guest_make_writable(guest, err);
    if (r < 0)
        return r;
    *changed = true;
    r = apply_plan(guest, plan, report, err);
    if (r < 0)
        return r;
    report_phase(report, "verify");
    r = apply_verify(guest, plan, err);
    if (r == 0)
        r = check_runs(facts, plan, err);
    return r == 0 && record ? recipe_record(record, plan, &facts->tree, err) : r;
}

static int launch(const struct options *o, struct guest **ret_guest, struct error **err)
{
    const char *accel = o->accel;
    int r = strcmp(accel, "auto") == 0 ? accel_choose(&accel) : 0;
    const struct guest_options guest_options = {.disks = o->disks,
                                                .disk_count = o->disk_count,
                                                .read_only = o->dry_run,
                                                .kvm = strcmp(accel, "kvm") == 0,
                                                .memory_mib = o->request.keys.count ? 2048 : 0,
                                                .cache_dir = o->cache_dir};

    if (r < 0)
        return error_set(err, -r, "SLIPWAY_ACCEL must be kvm or tcg");
    return guest_open(&guest_options, ret_guest, err);
}

/* The appliance runs already; what is on the disks comes with the word. */
static int wait_until_ready(struct guest *guest, struct report *report, struct error **err)
{
    int r;

    report_phase(report, "wait");
    r = wait_for_go(err);
    if (r < 0)
        return r;
    report_phase(report, "look");
    return guest_look_again(guest, err);
}

/* virt-v2v-in-place changes the guest first; the disks are its own meanwhile. */
static int hand_over(const struct options *o, struct guest **guest, struct report *report,
                     struct facts *facts, bool *changed, struct error **err)
{
    const char *accel = o->accel, *virtio_win = o->request.virtio_win;
    struct delegate delegate = {.disks = o->disks,
                                .disk_count = o->disk_count,
                                .virtio_win = virtio_win ? virtio_win : driverset_default(),
                                .cache_dir = o->cache_dir};
    const struct windows_hash before = facts->windows->hash;
    _cleanup_free_ char *root = str_dup(facts->windows->device);
    int r = strcmp(accel, "auto") == 0 ? accel_choose(&accel) : 0;

    if (r == 0)
        r = guest_close(steal_ptr(*guest), err);
    if (r < 0)
        return r;
    facts_done(facts);
    facts->request = &o->request;
    delegate.root = root;
    delegate.kvm = strcmp(accel, "kvm") == 0;
    report_phase(report, "virt-v2v");
    *changed = true;
    r = delegate_run(&delegate, err);
    if (r < 0)
        return r;
    report_phase(report, "relaunch");
    r = launch(o, guest, err);
    if (r < 0)
        return r;
    report_phase(report, "reinspect");
    r = survey_guest(*guest, facts, err);
    if (r < 0)
        return r;
    facts->windows->by_v2v = true;
    facts->windows->v2v = before;
    return windows_check_v2v(facts, err);
}

static int choose_engine(const struct options *o, struct guest **guest, struct report *report,
                         struct facts *facts, bool *changed, struct error **err)
{
    int r = facts_is_windows(facts) ? windows_choose_engine(facts, err) : 0;

    if (r < 0 || o->dry_run || !facts_is_windows(facts) || !facts->windows->by_v2v)
        return r;
    return hand_over(o, guest, report, facts, changed, err);
}

/* A plan only reads. */
static int make_plan(struct guest *guest, struct facts *facts, struct plan *plan,
                     struct error **err)
{
    int r;

    guest_remember_names(guest, true);
    r = plan_make(facts, plan, err);
    guest_remember_names(guest, false);
    return r;
}

/* The plan is good: the caller's scripts come first, and the plan is made of what they leave. */
static int plan_again(struct guest *guest, struct report *report, struct facts *facts,
                      struct plan *plan, bool *changed, struct error **err)
{
    int r = space_check(guest, plan, err);

    if (r < 0)
        return r;
    report_phase(report, "pre");
    *changed = true;
    r = scripts_run(guest, &facts->request->script_pre, "pre", report, err);
    if (r < 0)
        return r;
    report_phase(report, "replan");
    plan_done(plan);
    facts_forget_kernels(facts);
    r = inspect_kernels(&facts->tree, &facts->kernels, &facts->kernel_count, err);
    return r < 0 ? r : make_plan(guest, facts, plan, err);
}

/* The whole run. */
static int run(const struct options *o, struct report *report, struct facts *facts,
               struct plan *plan, struct hints *hints, bool *changed, struct error **err)
{
    struct guest *guest = NULL;
    int r;

    report_phase(report, "launch");
    r = launch(o, &guest, err);
    if (r < 0)
        return r;
    if (o->wait)
        r = wait_until_ready(guest, report, err);
    if (r == 0) {
        report_phase(report, "inspect");
        r = survey_guest(guest, facts, err);
    }
    if (r == 0)
        r = scripts_check(facts, err);
    if (r == 0)
        r = choose_engine(o, &guest, report, facts, changed, err);
    if (r == 0)
        r = make_plan(guest, facts, plan, err);
    if (r == 0 && !o->dry_run && o->request.script_pre.count > 0)
        r = plan_again(guest, report, facts, plan, changed, err);
    if (r == 0)
        hints_make(facts, plan, hints);
    if (r == 0 && o->replay)
        report->rehearsed = recipe_replay(o->replay, plan);
    if (r == 0)
        r = space_check(guest, plan, err);
    if (r == 0 && !o->dry_run && plan->edit_count > 0)
        r = carry_out(guest, report, facts, plan, o->record, changed, err);
    if (r == 0 && !o->dry_run && o->request.script_post.count > 0) {
        report_phase(report, "post");
        *changed = true;
        r = scripts_run(guest, &o->request.script_post, "post", report, err);
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

/* What the options name and was not read with them; an exit code. */
static int check_files(const struct request *request)
{
    _cleanup_error_ struct error *err = NULL;
    struct key_list keys;

    if (keys_read(request->keys.items, request->keys.count, &keys, &err) < 0) {
        fprintf(stderr, "slipway-morph: %s\n", error_text(err));
        return EXIT_CODE_USAGE;
    }
    key_list_done(&keys);
    return EXIT_CODE_OK;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    struct options options;
    struct facts facts = {0};
    struct plan plan = {0};
    struct hints hints = {0};
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
    facts.request = &options.request;
    if (options.check) {
        code = check_files(&options.request);
    } else if (options.help) {
        fputs(options_help, stdout);
    } else if (options.version) {
        puts("slipway-morph " SLIPWAY_VERSION);
    } else if (run(&options, &report, &facts, &plan, &hints, &changed, &err) < 0) {
        if (interrupt_came()) {
            err = error_free(err);
            error_set(&err, ECANCELED, "ended by a signal");
        }
        report_failure(&report, err, changed);
        code = changed ? EXIT_CODE_FAILED : EXIT_UNCHANGED;
    } else if (report_result(&report, &facts, &plan, &hints) < 0) {
        code = changed ? EXIT_CODE_FAILED : EXIT_UNCHANGED;
    }
    report_done(&report);
    hints_done(&hints);
    plan_done(&plan);
    facts_done(&facts);
    options_done(&options);
    return code;
}
