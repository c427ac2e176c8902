/* SPDX-License-Identifier: Apache-2.0 */
/* What a rehearsal does: draft, morph, boot, verdict; and clearing away. */
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"
#include "orchestrator/rehearsal-inside.h"

#define SETTLE_NS (10 * NS_PER_S)
#define POLL_NS (500 * NS_PER_MS)
#define DROP_TIMEOUT_NS (60 * NS_PER_S)
#define CONSOLE_MAX ((size_t)16 << 20)
#define CONSOLE "console:"
#define PORT "port:"

static char *vm_name(const struct rehearsal *h)
{
    return str_format("%s-rehearsal", h->job->name);
}

static char *in_store(const struct rehearsal *h, const char *name)
{
    _cleanup_free_ char *store = job_store(h->daemon, h->job);

    return str_format("%s/%s", store, name);
}

static void took(struct rehearsal *h, const char *key, uint64_t start)
{
    rehearsal_set_result(h, key,
                         json_real((double)((clock_now_ns() - start) / NS_PER_MS) / 1000.0));
}

/* ---- draft and morph ---- */

static int draft_verb(struct run *run, const char *verb, json_t **ret_result, struct error **err)
{
    _cleanup_json_ json_t *args = json_pack("{s:s}", "name", REHEARSAL_DRAFT);

    return engine_call(run, verb, args, ret_result, err);
}

static int drop_draft(struct run *run, struct error **err)
{
    uint64_t start = clock_now_ns();

    for (;;) {
        _cleanup_error_ struct error *failure = NULL;
        int r = draft_verb(run, "draft-drop", NULL, &failure);

        /* EPERM: the store is detached, and no draft outlives that; ENOENT: also of the store. */
        if (r == 0 || r == -ENOENT || r == -EPERM)
            return 0;
        /* Whoever used it a moment ago may still be connected. */
        if (r != -EBUSY || clock_now_ns() - start > DROP_TIMEOUT_NS)
            return error_move(err, &failure);
        clock_sleep_ns(POLL_NS);
    }
}

static int make_draft(struct run *run, struct rehearsal *h, struct error **err)
{
    _cleanup_json_ json_t *result = NULL;
    int r = drop_draft(run, err); /* of one that could not be cleared away */

    if (r == 0)
        r = draft_verb(run, "draft-create", &result, err);

    if (r == 0)
        rehearsal_set_result(h, "generation",
                             json_integer(field_integer(result, "generation", -1)));
    return r;
}

static int morph(struct run *run, struct rehearsal *h, json_t **ret_report, struct error **err)
{
    _cleanup_free_ char *recipe = in_store(h, "recipe.new");
    uint64_t start = clock_now_ns();
    int r;

    if (!field_bool(h->job->params, "morph", true))
        return 0;
    r = rehearsal_set_state(h, "morphing", err);
    if (r == 0 && fdio_remove_tree(recipe) < 0)
        r = error_set(err, EIO, "cannot remove %s", recipe);
    if (r == 0)
        r = morph_rehearse(run, REHEARSAL_DRAFT, recipe, ret_report, err);
    if (r == 0)
        took(h, "morph_s", start);
    return r;
}

/* The recipe of a rehearsal that passed takes the place of an older one. */
static int keep_recipe(struct rehearsal *h, struct error **err)
{
    _cleanup_free_ char *fresh = in_store(h, "recipe.new"), *kept = in_store(h, "recipe");

    if (access(fresh, F_OK) < 0)
        return 0; /* nothing had to be done to the guest */
    if (fdio_remove_tree(kept) < 0 || rename(fresh, kept) < 0)
        return error_set_errno(err, errno, "cannot keep the recipe %s", kept);
    return 0;
}

/* ---- boot and verdict ---- */

static json_t *disks_of(const struct rehearsal *h)
{
    _cleanup_free_ char *store = job_store(h->daemon, h->job);
    json_t *disks = json_array(), *disk;
    size_t i;

    json_array_foreach(json_object_get(h->job->description, "disks"), i, disk) {
        const char *name = field_string(disk, "name", "");
        _cleanup_free_ char *export = str_format(REHEARSAL_DRAFT "/%s", name);
        _cleanup_free_ char *uri = engine_host_uri(store, export);

        json_array_append_new(disks, json_pack("{s:s, s:s, s:s}", "name", name, "nbd_uri", uri,
                                               "format", "raw"));
    }
    return disks;
}

/* Whatever network a card was on, here it is alone, unless somebody wants to work with the VM. */
static json_t *networks_of(const struct rehearsal *h)
{
    json_t *networks = NULL, *nic;
    size_t i;

    if (field_bool(h->params, "connect", false) &&
        params_networks(h->job->params, h->job->description, &networks, NULL) == 0)
        return networks;
    networks = json_object();

    json_array_foreach(json_object_get(h->job->description, "nics"), i, nic) {
        const char *network = field_string(nic, "network", NULL);

        if (network)
            json_object_set_new(networks, network, json_string("isolated"));
    }
    return networks;
}

/* Defines the VM.  That it is ours is journalled first: a VM of somebody else that has the name is
 * found before, and never removed. */
static int define(struct run *run, struct rehearsal *h, const json_t *report, struct error **err)
{
    _cleanup_free_ char *name = vm_name(h), *log = in_store(h, "rehearsal-console.log");
    _cleanup_free_ char *xml = NULL;
    _cleanup_json_ json_t *placement = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:O*}", "name", name, "uuid",
        field_string(h->params, "uuid", ""), "accel", job_accel(h->job), "console_log", log,
        "disks", disks_of(h), "networks", networks_of(h), "hints",
        json_object_get(report, "hints"));
    int r;

    placement_shape(h->job, placement);
    r = node_check(run->node, h->job->description, placement, err);
    if (r == 0)
        placement_drop_tpm(run, placement);
    if (r == 0)
        r = node_domain_xml(h->job->description, placement, &xml, err);
    if (r < 0)
        return r;
    rehearsal_set_result(h, "vm", json_string(name));
    r = rehearsal_set_state(h, "booting", err);
    if (r < 0)
        return r;
    unlink(log);
    return node_define(run->node, xml, err);
}

static int needs_running(struct run *run, const char *name, struct error **err)
{
    const char *state;
    int r = node_state(run->node, name, &state, err);

    if (r < 0 || strcmp(state, "running") == 0)
        return r;
    return error_set(err, EIO, "the rehearsed VM is %s instead of running", state);
}

static bool console_has(const char *log, const regex_t *regex)
{
    _cleanup_free_ char *text = NULL;
    size_t length;

    if (fdio_read_file(log, CONSOLE_MAX, &text, &length) < 0)
        return false;
    for (size_t i = 0; i < length; i++) /* a console may say anything */
        if (!text[i])
            text[i] = ' ';
    return regexec(regex, text, 0, NULL, 0) == 0;
}

static int wait_console(struct run *run, struct rehearsal *h, const char *pattern,
                        uint64_t timeout_ns, struct error **err)
{
    _cleanup_free_ char *log = in_store(h, "rehearsal-console.log"), *name = vm_name(h);
    uint64_t start = clock_now_ns();
    regex_t regex;
    int r = 0;

    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE) != 0)
        return error_set(err, EINVAL, "'%s' is no regular expression", pattern);
    while (r == 0 && !console_has(log, &regex)) {
        if (clock_now_ns() - start > timeout_ns)
            r = error_set(err, ETIMEDOUT, "the rehearsed VM did not say '%s' on its serial console "
                          "within %llu s; see %s", pattern,
                          (unsigned long long)(timeout_ns / NS_PER_S), log);
        else if (run_interrupted(run))
            r = error_set(err, ECANCELED, "the rehearsal was stopped");
        else
            r = needs_running(run, name, err);
        clock_sleep_ns(POLL_NS);
    }
    regfree(&regex);
    return r;
}

/* The guest's agent tells whether somebody listens: no network is needed for that. */
static int wait_port(struct run *run, struct rehearsal *h, unsigned port, uint64_t timeout_ns,
                     struct error **err)
{
    _cleanup_free_ char *name = vm_name(h);
    uint64_t start = clock_now_ns();
    bool told = false;

    for (;;) {
        int r = node_guest_listens(run->node, name, port, err);

        if (r == 1)
            return 0;
        if (r < 0 && r != -EAGAIN)
            return r;
        told = told || r == 0;
        r = needs_running(run, name, err);
        if (r < 0)
            return r;
        if (clock_now_ns() - start > timeout_ns)
            return error_set(err, ETIMEDOUT, told ? "nobody listens on port %u of the rehearsed VM "
                             "after %llu s" : "whether somebody listens on port %u was not told "
                             "within %llu s: that needs a guest agent in a Linux guest that may "
                             "read files", port, (unsigned long long)(timeout_ns / NS_PER_S));
        if (run_interrupted(run))
            return error_set(err, ECANCELED, "the rehearsal was stopped");
        clock_sleep_ns(POLL_NS);
    }
}

static int judge(struct run *run, struct rehearsal *h, const json_t *report, struct error **err)
{
    const char *check = field_string(h->params, "check", "auto"), *how = "console";
    uint64_t timeout = (uint64_t)field_integer(h->params, "timeout_s", 600) * NS_PER_S;
    bool agent = strcmp(check, "agent") == 0 ||
                 (strcmp(check, "auto") == 0 && field_bool(report, "guest_agent", false));
    _cleanup_free_ char *name = vm_name(h);
    int r;

    if (str_starts(check, PORT))
        how = "port";
    if (str_starts(check, CONSOLE))
        r = wait_console(run, h, check + strlen(CONSOLE), timeout, err);
    else if (str_starts(check, PORT))
        r = wait_port(run, h, (unsigned)strtoul(check + strlen(PORT), NULL, 10), timeout, err);
    else
        r = node_wait_up(run->node, name, timeout, agent ? UINT64_MAX : SETTLE_NS, run_interrupted,
                         run, &how, err);
    if (r == 0)
        rehearsal_set_result(h, "how", json_string(how));
    return r;
}

static int boot(struct run *run, struct rehearsal *h, const json_t *report, struct error **err)
{
    _cleanup_free_ char *name = vm_name(h);
    uint64_t start = clock_now_ns();
    int r = run_open_node(run, err);

    if (r == 0)
        r = define(run, h, report, err);
    if (r == 0)
        r = node_start(run->node, name, err);
    if (r == 0)
        r = judge(run, h, report, err);
    if (r == 0)
        took(h, "boot_s", start);
    return r;
}

int rehearsal_play(struct run *run, struct rehearsal *h, struct error **err)
{
    _cleanup_json_ json_t *report = NULL;
    int r = make_draft(run, h, err);

    if (r == 0)
        r = morph(run, h, &report, err);
    if (r == 0 && run_interrupted(run))
        r = error_set(err, ECANCELED, "the rehearsal was stopped");
    if (r == 0)
        r = boot(run, h, report, err);
    return r == 0 ? keep_recipe(h, err) : r;
}

static int remove_vm(struct run *run, const struct rehearsal *h, struct error **err)
{
    const char *name = field_string(h->result, "vm", NULL);
    int r;

    if (!name)
        return 0; /* it did not come so far */
    r = run_open_node(run, err);
    if (r == 0)
        r = node_stop(run->node, name, true, err);
    return r < 0 ? r : node_undefine(run->node, name, err);
}

int rehearsal_discard(struct run *run, struct rehearsal *h, struct error **err)
{
    _cleanup_free_ char *recipe = in_store(h, "recipe.new");
    int r;

    morph_cool(run);
    r = remove_vm(run, h, err);
    if (r == 0)
        r = drop_draft(run, err);
    return r == 0 && fdio_remove_tree(recipe) < 0
               ? error_set(err, EIO, "cannot remove %s", recipe) : r;
}
