/* SPDX-License-Identifier: Apache-2.0 */
/* `slipway plan check`: everything that can be known before anything is touched. */
#include "orchestrator/plans.h"

#include <libgen.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/check.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"
#include "orchestrator/steps.h"

struct preflight {
    struct daemon *daemon;
    const struct plan_reading *reading;
    json_t *node;   /* node_facts(), or {reachable: false, message} */
    bool reachable; /* the node */
    json_t *pools;  /* folder → {free_bytes, full_bytes, sparse_bytes} */
    json_t *vms;    /* the answer's */
    json_t *morph;  /* options that slipway-morph was asked about → sentence or null */
    int64_t memory_bytes; /* of all VMs that would be started */
    int64_t now_ns;       /* wall clock */
};

static void ask_node(struct preflight *p)
{
    const struct options *options = p->daemon->options;
    _cleanup_free_ char *root = str_format("%s/node", options->state_dir);
    _cleanup_error_ struct error *err = NULL;
    struct node *node;
    int r = node_open(options->node_uri, root, &node, &err);

    if (r == 0) {
        r = node_facts(node, &p->node, &err);
        node_close(node);
    }
    p->reachable = r == 0;
    if (r < 0)
        p->node = json_pack("{s:s}", "message", error_text(err));
    json_object_set_new(p->node, "reachable", json_boolean(r == 0));
}

/* The folder itself or the next one above it that is there. */
static bool space_below(const char *folder, uint64_t *ret_free)
{
    _cleanup_free_ char *path = str_dup(folder);
    struct statvfs fs;

    while (statvfs(path, &fs) < 0) {
        if (strcmp(path, "/") == 0 || errno != ENOENT)
            return false;
        dirname(path);
    }
    *ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    return true;
}

static json_t *pool_entry(struct preflight *p, const char *folder)
{
    json_t *pool = json_object_get(p->pools, folder);
    uint64_t space;

    if (pool)
        return pool;
    pool = json_pack("{s:i, s:i}", "full_bytes", 0, "sparse_bytes", 0);
    if (space_below(folder, &space))
        json_object_set_new(pool, "free_bytes", json_integer((json_int_t)space));
    json_object_set_new(p->pools, folder, pool);
    return pool;
}

static void add_to(json_t *object, const char *key, int64_t amount)
{
    json_object_set_new(object, key, json_integer(field_integer(object, key, 0) + amount));
}

/* Targets are sparse: they need what is allocated on the source, and may grow to the full size. */
static void add_space(struct preflight *p, const json_t *params, const json_t *description)
{
    json_t *storage = json_object_get(params, "storage"), *disk;
    size_t i;

    json_array_foreach(json_object_get(description, "disks"), i, disk) {
        const char *folder = field_string(storage, field_string(disk, "name", ""),
                                          field_string(params, "pool", "/"));
        int64_t size = field_integer(disk, "size_bytes", 0);
        int64_t allocated = field_integer(disk, "allocated_bytes", size);
        json_t *pool = pool_entry(p, folder);

        add_to(pool, "full_bytes", size);
        add_to(pool, "sparse_bytes", allocated < size ? allocated : size);
    }
}

/* Somebody else's files, and options that slipway-morph does not take. */
static void check_job(struct preflight *p, const json_t *params, const json_t *description,
                      struct findings *findings)
{
    struct job *job = job_new(field_string(params, "name", ""), params, description);
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *options = params_morph_options(params);
    char *key = json_dumps(options, 0);
    json_t *known = json_object_get(p->morph, key);

    if (targets_check(p->daemon, job, &err) < 0)
        finding_reason(findings, "targets", "%s", error_text(err));
    if (field_bool(params, "morph", true)) {
        _cleanup_error_ struct error *refusal = NULL;

        if (!known) { /* a thousand VMs have the same ones */
            known = morph_check_options(p->daemon, job, &refusal) < 0
                        ? json_string(error_text(refusal)) : json_null();
            json_object_set_new(p->morph, key, known);
        }
        if (json_is_string(known))
            finding_reason(findings, "guest", "%s", json_string_value(known));
    }
    free(key);
    job_free(job);
}

/* The params of the migration of that name and its state; NULL: there is none. */
static json_t *existing(struct preflight *p, const char *name, const char **ret_state)
{
    const struct job *job;

    LOCK_FOR_SCOPE(&p->daemon->lock);
    job = job_find_locked(p->daemon, name);
    if (!job)
        return NULL;
    *ret_state = job_state_name(job->state);
    return json_incref(job->params);
}

/* A migration that is there has been checked when it was made; what of it would be changed? */
static void check_old(struct preflight *p, const json_t *old, const json_t *body, json_t *entry,
                      struct findings *findings)
{
    _cleanup_json_ json_t *params = NULL, *changes = NULL;
    _cleanup_free_ char *why = plan_stranger(old, body);
    json_t *names = json_array(), *value;
    const char *field;

    json_object_set_new(entry, "changes", names);
    if (why) {
        finding_reason(findings, "name", "%s: remove it, or choose another target_name", why);
        return;
    }
    if (strcmp(field_string(entry, "state", ""), "cancelled") == 0) {
        finding_warning(findings, "name", "it was cancelled; remove it, and apply again to begin "
                        "anew");
        return;
    }
    if (params_complete(body, p->daemon->options->pool, &params, NULL) < 0)
        return;
    changes = plan_changes(old, params);
    json_object_foreach(changes, field, value) {
        json_array_append_new(names, json_string(field));
        if (!param_find(field)->late)
            finding_warning(findings, "params", "%s cannot be changed any more: it stays as it was",
                            field);
    }
}

static void check_new(struct preflight *p, const json_t *body, const json_t *description,
                      struct findings *findings)
{
    _cleanup_json_ json_t *params = NULL;
    _cleanup_error_ struct error *err = NULL;

    if (params_complete(body, p->daemon->options->pool, &params, &err) < 0) {
        finding_reason(findings, "params", "%s", error_text(err));
        return;
    }
    check_source_vm(description, findings);
    if (p->reachable) {
        check_placement(params, description, p->node, p->reading->source, findings);
        check_identity(params, description, p->node, findings);
        check_schedule(params, p->now_ns, findings);
    } else {
        finding_reason(findings, "node", "the node cannot be reached: %s",
                       field_string(p->node, "message", "?"));
    }
    check_job(p, params, description, findings);
    add_space(p, params, description);
    if (field_bool(params, "start", true))
        p->memory_bytes += field_integer(params, "memory_bytes",
                                         field_integer(description, "memory_bytes", 0));
}

static void check_one(struct preflight *p, const json_t *migration)
{
    const json_t *body = json_object_get(migration, "body");
    const char *vm = field_string(migration, "vm", ""), *name = field_string(body, "name", "");
    const char *state = NULL;
    _cleanup_json_ json_t *old = existing(p, name, &state);
    struct findings findings;
    json_t *entry;

    findings_init(&findings);
    entry = json_pack("{s:s, s:s, s:s*, s:O, s:O, s:O}", "vm", vm, "migration", name, "state",
                      state, "line", json_object_get(migration, "line"), "reasons",
                      findings.reasons, "warnings", findings.warnings);
    if (old)
        check_old(p, old, body, entry, &findings);
    else
        check_new(p, body, json_object_get(p->reading->descriptions, vm), &findings);
    json_array_append_new(p->vms, entry);
    findings_done(&findings);
}

static const char *pool_of_disk(const json_t *params, const json_t *disk)
{
    return field_string(json_object_get(params, "storage"), field_string(disk, "name", ""),
                        field_string(params, "pool", "/"));
}

/* A pool that cannot even hold what is allocated makes each VM with a disk there unready. */
static void judge_space(struct preflight *p, const json_t *migration, json_t *entry)
{
    const json_t *body = json_object_get(migration, "body");
    json_t *description = json_object_get(p->reading->descriptions,
                                          field_string(migration, "vm", "")), *disk;
    _cleanup_json_ json_t *told = json_object(), *params = NULL;
    size_t i;

    if (json_object_get(entry, "state") ||
        params_complete(body, p->daemon->options->pool, &params, NULL) < 0)
        return;
    json_array_foreach(json_object_get(description, "disks"), i, disk) {
        const char *folder = pool_of_disk(params, disk);
        json_t *pool = json_object_get(p->pools, folder);
        char need[32], have[32];

        if (!pool || field_bool(pool, "enough", true) || json_object_get(told, folder))
            continue;
        json_object_set_new(told, folder, json_true());
        str_from_bytes((uint64_t)field_integer(pool, "sparse_bytes", 0), need, sizeof(need));
        str_from_bytes((uint64_t)field_integer(pool, "free_bytes", 0), have, sizeof(have));
        json_array_append_new(
            json_object_get(entry, "reasons"),
            json_pack("{s:s, s:o}", "check", "space", "message",
                      json_sprintf("the VMs of the plan need at least %s in %s, where %s are free",
                                   need, folder, have)));
    }
}

static void judge_pools(struct preflight *p)
{
    const char *folder;
    json_t *pool, *entry;
    size_t i;

    json_object_foreach(p->pools, folder, pool) {
        int64_t space = field_integer(pool, "free_bytes", -1);

        json_object_set_new(pool, "enough",
                            json_boolean(space < 0 ||
                                         field_integer(pool, "sparse_bytes", 0) <= space));
        json_object_set_new(pool, "enough_when_full",
                            json_boolean(space < 0 ||
                                         field_integer(pool, "full_bytes", 0) <= space));
    }
    json_array_foreach(p->vms, i, entry)
        judge_space(p, json_array_get(p->reading->migrations, i), entry);
}

/* Sets `ready` of each; true when all are. */
static bool judge_vms(struct preflight *p)
{
    bool all = json_array_size(p->vms) > 0;
    json_t *entry;
    size_t i;

    json_array_foreach(p->vms, i, entry) {
        bool ready = json_array_size(json_object_get(entry, "reasons")) == 0;

        json_object_set_new(entry, "ready", json_boolean(ready));
        all = all && ready;
    }
    return all;
}

/* What is true of the plan as a whole. */
static void add_warnings(struct preflight *p, struct problems *warnings)
{
    int64_t memory = field_integer(p->node, "memory_bytes", 0);
    char want[32], have[32], text[32];
    const char *folder;
    json_t *pool;

    if (memory > 0 && p->memory_bytes > memory)
        problem_add(warnings, (struct place){0}, "memory", "the VMs of the plan want %s of memory "
                    "together, the node has %s",
                    str_from_bytes((uint64_t)p->memory_bytes, want, sizeof(want)),
                    str_from_bytes((uint64_t)memory, have, sizeof(have)));
    json_object_foreach(p->pools, folder, pool) {
        uint64_t full = (uint64_t)field_integer(pool, "full_bytes", 0);
        uint64_t sparse = (uint64_t)field_integer(pool, "sparse_bytes", 0);
        uint64_t space = (uint64_t)field_integer(pool, "free_bytes", 0);

        if (field_bool(pool, "enough", true) && !field_bool(pool, "enough_when_full", true))
            problem_add(warnings, (struct place){0}, "space", "%s has %s free: the disks take %s "
                        "now and may grow to %s", folder, str_from_bytes(space, have, sizeof(have)),
                        str_from_bytes(sparse, text, sizeof(text)),
                        str_from_bytes(full, want, sizeof(want)));
    }
}

static json_t *answer_of(struct preflight *p, bool ok)
{
    const struct plan_reading *reading = p->reading;
    json_t *answer = json_pack("{s:b, s:O, s:O, s:O}", "ok", ok, "problems", reading->problems.list,
                               "warnings", reading->warnings.list, "vms", p->vms);

    if (reading->plan)
        json_object_set_new(answer, "name", json_string(plan_name(reading->plan)));
    if (reading->source)
        json_object_set(answer, "source", reading->source);
    if (p->node) {
        json_object_del(p->node, "vms"); /* others' */
        json_object_set(answer, "node", p->node);
        json_object_set(answer, "pools", p->pools);
    }
    return answer;
}

int plans_check(struct daemon *d, const json_t *body, json_t **ret, struct error **err)
{
    struct plan_reading reading;
    struct preflight p = {.daemon = d, .reading = &reading, .pools = json_object(),
                          .vms = json_array(), .morph = json_object()};
    struct stamp now;
    json_t *migration;
    bool ok = false;
    size_t i;
    int r = plan_reading_make(d, body, &reading, err);

    stamp_now(&now);
    p.now_ns = now.wall_ns;
    if (r == 0 && reading.migrations) {
        ask_node(&p);
        json_array_foreach(reading.migrations, i, migration)
            check_one(&p, migration);
        judge_pools(&p);
        ok = judge_vms(&p);
        add_warnings(&p, &reading.warnings);
    }
    if (r == 0)
        *ret = answer_of(&p, ok);
    json_decref(p.node);
    json_decref(p.pools);
    json_decref(p.vms);
    json_decref(p.morph);
    plan_reading_done(&reading);
    return r;
}
