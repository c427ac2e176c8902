/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the control socket.  A table; each checks its arguments and calls the engine. */
#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/ctlserver.h"
#include "engine/draft.h"
#include "engine/manifest.h"
#include "engine/sync.h"
#include "engine/verify.h"

struct call {
    struct engine *engine;
    const json_t *args;
    verb_event_fn *event;
    void *context;
    uint64_t last_event_ns;
    char last_phase[8];
    uint64_t phase_began_ns, phase_began_bytes;
};

typedef int verb_fn(struct call *call, json_t **ret_result, struct error **err);

static const char *text_arg(const struct call *c, const char *name)
{
    return json_string_value(json_object_get(c->args, name));
}

static int need_name(const struct call *c, const char **ret_name, struct error **err)
{
    *ret_name = text_arg(c, "name");
    return *ret_name ? 0 : error_set(err, EINVAL, "this verb needs a name");
}

static uint64_t grace_arg(const struct call *c, uint64_t fallback_s)
{
    const json_t *j = json_object_get(c->args, "grace_s");

    return (json_is_number(j) && json_number_value(j) >= 0 && json_number_value(j) < 1e6
                ? (uint64_t)(json_number_value(j) * (double)NS_PER_S)
                : fallback_s * NS_PER_S);
}

/* At most four a second, and each change of phase. */
static void report_progress(const struct progress_report *p, void *context)
{
    struct call *c = context;
    uint64_t now = clock_now_ns();
    double rate, left;
    json_t *event;

    if (strcmp(c->last_phase, p->phase) != 0) {
        snprintf(c->last_phase, sizeof(c->last_phase), "%s", p->phase);
        c->phase_began_ns = now;
        c->phase_began_bytes = p->done_bytes;
    } else if (now - c->last_event_ns < 250 * NS_PER_MS) {
        return;
    }
    c->last_event_ns = now;
    rate = now > c->phase_began_ns ? (double)(p->done_bytes - c->phase_began_bytes) * 1e9 /
                                         (double)(now - c->phase_began_ns)
                                   : 0;
    left = p->total_bytes > p->done_bytes ? (double)(p->total_bytes - p->done_bytes) : 0;
    event = json_pack("{s:s, s:s, s:I, s:I, s:f}", "event", "progress", "phase", p->phase,
                      "done_bytes", (json_int_t)p->done_bytes, "total_bytes",
                      (json_int_t)p->total_bytes, "rate_bytes_s", rate);
    json_object_set_new(event, "eta_s", rate > 0 ? json_real(left / rate) : json_null());
    c->event(event, c->context);
    json_decref(event);
}

static int verb_status(struct call *c, json_t **ret_result, struct error **err)
{
    *ret_result = engine_status(c->engine);
    return 0;
}

/* ---- sync ---- */

static int parse_source(const json_t *j, struct sync_source *s, struct error **err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)j, key, value) {
        if (!json_is_string(value))
            return error_set(err, EINVAL, "'%s' of a disk must be text", key);
        if (strcmp(key, "name") == 0)
            s->name = json_string_value(value);
        else if (strcmp(key, "uri") == 0)
            s->uri = json_string_value(value);
        else if (strcmp(key, "bitmap") == 0)
            s->bitmap = json_string_value(value);
        else
            return error_set(err, EINVAL, "unknown field '%s' of a disk; it may have name, uri and "
                                          "bitmap", key);
    }
    if (!s->name || !s->uri)
        return error_set(err, EINVAL, "each disk needs a name and a uri");
    /* Their flags mean something else: taken for dirty bits they would lose changes. */
    if (s->bitmap && (str_starts(s->bitmap, "base:") ||
                      strcmp(s->bitmap, "qemu:allocation-depth") == 0))
        return error_set(err, EINVAL, "disk %s: '%s' does not tell what changed; name a dirty "
                                      "bitmap such as qemu:dirty-bitmap:NAME", s->name, s->bitmap);
    return 0;
}

static int parse_sync(const struct call *c, struct sync_source sources[DISKS_MAX],
                      struct sync_request *q, struct error **err)
{
    const json_t *disks = json_object_get(c->args, "disks");
    json_int_t connections = json_integer_value(json_object_get(c->args, "connections"));
    int r = 0;

    q->sources = sources;
    q->snapshot = text_arg(c, "snapshot");
    q->compare = json_is_true(json_object_get(c->args, "compare"));
    q->source_count = (unsigned)json_array_size(disks);
    if (q->source_count == 0 || q->source_count > DISKS_MAX)
        return error_set(err, EINVAL, "name 1 to %d disks with their NBD URIs", DISKS_MAX);
    if (connections < 0 || connections > 16)
        return error_set(err, EINVAL, "connections must be 1 to 16");
    q->connections = (unsigned)connections;
    if (q->snapshot && (!*q->snapshot || strlen(q->snapshot) > SNAPSHOT_ID_MAX))
        return error_set(err, EINVAL, "a snapshot id has 1 to %d bytes", SNAPSHOT_ID_MAX);
    for (unsigned i = 0; r == 0 && i < q->source_count; i++)
        r = parse_source(json_array_get(disks, i), &sources[i], err);
    return r;
}

static json_t *pass_json(const struct sync_disk *sd)
{
    const struct pull *p = &sd->pull;

    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f}", "disk", sd->disk->name, "bytes",
                     (json_int_t)atomic_load(&p->read_bytes), "written_bytes",
                     (json_int_t)atomic_load(&p->written_bytes), "zero_bytes",
                     (json_int_t)(sd->zero_bytes + atomic_load(&p->zero_bytes)), "changed_bytes",
                     (json_int_t)(sd->changed_bytes - atomic_load(&p->same_bytes)), "seconds",
                     (double)sd->nanoseconds / 1e9);
}

static json_t *sync_result(const struct sync *s)
{
    json_t *passes = json_array();

    for (unsigned i = 0; i < s->disk_count; i++)
        json_array_append_new(passes, pass_json(&s->disks[i]));
    return json_pack("{s:I, s:s, s:b, s:o}", "generation", (json_int_t)s->generation, "snapshot",
                     s->snapshot, "already", s->already, "passes", passes);
}

static int run_sync(struct call *c, const struct sync_request *q, json_t **ret_result,
                    struct error **err)
{
    struct engine *e = c->engine;
    struct sync *s = mem_new(1, sizeof(*s));
    int r;

    pthread_mutex_lock(&e->lock);
    e->sync = s;
    pthread_mutex_unlock(&e->lock);
    r = sync_open(s, e, q, err);
    if (r == 0)
        r = sync_run(s, report_progress, c, err);
    if (r == 0)
        *ret_result = sync_result(s);
    pthread_mutex_lock(&e->lock);
    e->sync = NULL;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    sync_close(s);
    free(s);
    return r;
}

/* A second request for the same point in time waits for the first. */
static bool join_running(struct call *c, const char *snapshot)
{
    struct engine *e = c->engine;
    bool joined = false;

    for (;;) {
        struct progress_report p = {0};
        struct timespec until;

        pthread_mutex_lock(&e->lock);
        if (!snapshot || !e->sync || strcmp(e->sync->snapshot, snapshot) != 0) {
            pthread_mutex_unlock(&e->lock);
            return joined;
        }
        joined = true;
        sync_progress(e->sync, &p);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&e->changed, &e->lock, &until);
        pthread_mutex_unlock(&e->lock);
        report_progress(&p, c);
    }
}

static int verb_sync(struct call *c, json_t **ret_result, struct error **err)
{
    struct sync_source sources[DISKS_MAX] = {0};
    struct sync_request q = {0};
    int r = parse_sync(c, sources, &q, err);

    if (r < 0)
        return r;
    join_running(c, q.snapshot);
    r = engine_operation_begin(c->engine, "sync", 1u << MODE_INIT | 1u << MODE_MIRROR, err);
    if (r < 0)
        return r;
    /* Inside the operation: drafts come and go only in operations of their own. */
    if (c->engine->draft)
        r = error_set(err, EBUSY, "the draft '%s' is open; seal or drop it first",
                      c->engine->draft->name);
    else
        r = run_sync(c, &q, ret_result, err);
    engine_operation_end(c->engine);
    return r;
}

/* ---- verify ---- */

static int parse_verify(const struct call *c, struct sync_source sources[DISKS_MAX],
                        struct verify_request *q, struct error **err)
{
    const json_t *disks = json_object_get(c->args, "disks");
    const json_t *sample = json_object_get(c->args, "sample");
    int r = 0;

    q->sources = sources;
    q->source_count = (unsigned)json_array_size(disks);
    q->sample_percent = sample ? json_number_value(sample) : 100;
    q->seed = clock_now_ns();
    if (q->source_count == 0 || q->source_count > DISKS_MAX)
        return error_set(err, EINVAL, "name 1 to %d disks with their NBD URIs", DISKS_MAX);
    if (!(q->sample_percent > 0 && q->sample_percent <= 100))
        return error_set(err, EINVAL, "a sample is more than 0 and at most 100 percent");
    for (unsigned i = 0; r == 0 && i < q->source_count; i++)
        r = parse_source(json_array_get(disks, i), &sources[i], err);
    return r;
}

/* One at a time.  No exclusive operation: it only reads, and syncs and readers go on. */
static int audit_begin(struct engine *e, struct verify *verify, struct error **err)
{
    LOCK_FOR_SCOPE(&e->lock);
    if (e->verify)
        return error_set(err, EBUSY, "%s is being verified, or a manifest is being made; wait for "
                                     "it or cancel it", e->store);
    e->verify = verify;
    return 0;
}

static void audit_end(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->verify = NULL;
}

static int verb_verify(struct call *c, json_t **ret_result, struct error **err)
{
    struct sync_source sources[DISKS_MAX] = {0};
    struct verify_request q = {0};
    struct verify verify = {0};
    int r = parse_verify(c, sources, &q, err);

    if (r == 0)
        r = audit_begin(c->engine, &verify, err);
    if (r < 0)
        return r;
    r = verify_run(&verify, c->engine, &q, report_progress, c, ret_result, err);
    audit_end(c->engine);
    return r;
}

static int verb_manifest(struct call *c, json_t **ret_result, struct error **err)
{
    struct verify stop = {0};
    int r = audit_begin(c->engine, &stop, err);

    if (r < 0)
        return r;
    r = manifest_make(&stop, c->engine, text_arg(c, "key"), report_progress, c, ret_result, err);
    audit_end(c->engine);
    return r;
}

static int verb_cancel(struct call *c, json_t **ret_result, struct error **err)
{
    struct engine *e = c->engine;

    LOCK_FOR_SCOPE(&e->lock);
    if (e->sync)
        atomic_store(&e->sync->cancel, true);
    if (e->verify)
        atomic_store(&e->verify->cancel, true);
    *ret_result = json_pack("{s:b}", "cancelled", e->sync || e->verify);
    return 0;
}

/* ---- the rest ---- */

static int verb_flip(struct call *c, json_t **ret_result, struct error **err)
{
    int r = engine_flip(c->engine, grace_arg(c, 2), report_progress, c, err);

    if (r == 0)
        *ret_result = json_pack("{s:s, s:I}", "mode", store_mode_name(MODE_OWNER), "generation",
                                (json_int_t)c->engine->cur_gen);
    return r;
}

static int verb_detach(struct call *c, json_t **ret_result, struct error **err)
{
    int r = engine_detach(c->engine, grace_arg(c, 5), err);

    if (r == 0)
        *ret_result = json_pack("{s:s}", "mode", store_mode_name(MODE_DETACHED));
    return r;
}

static int verb_draft_create(struct call *c, json_t **ret_result, struct error **err)
{
    const char *name;
    uint64_t gen;
    int r = need_name(c, &name, err);

    if (r == 0)
        r = draft_create(c->engine, name, &gen, err);
    if (r == 0)
        *ret_result = json_pack("{s:s, s:I}", "name", name, "generation", (json_int_t)gen);
    return r;
}

static int verb_draft_seal(struct call *c, json_t **ret_result, struct error **err)
{
    const char *name;
    uint64_t gen;
    int r = need_name(c, &name, err);

    if (r == 0)
        r = draft_seal(c->engine, name, &gen, err);
    if (r == 0)
        *ret_result = json_pack("{s:I}", "generation", (json_int_t)gen);
    return r;
}

static int verb_draft_drop(struct call *c, json_t **ret_result, struct error **err)
{
    const char *name;
    int r = need_name(c, &name, err);

    if (r == 0)
        r = draft_drop(c->engine, name, err);
    if (r == 0)
        *ret_result = json_object();
    return r;
}

static int verb_stop(struct call *c, json_t **ret_result, struct error **err)
{
    if (c->engine->options.stop)
        c->engine->options.stop(c->engine->options.stop_context);
    *ret_result = json_object();
    return 0;
}

static const struct verb {
    const char *name;
    verb_fn *run;
    const char *args; /* names of allowed arguments, each between spaces */
} verbs[] = {
    {"status", verb_status, " "},
    {"sync", verb_sync, " disks snapshot compare connections "},
    {"verify", verb_verify, " disks sample "},
    {"manifest", verb_manifest, " key "},
    {"cancel", verb_cancel, " "},
    {"flip", verb_flip, " grace_s "},
    {"detach", verb_detach, " grace_s "},
    {"draft-create", verb_draft_create, " name "},
    {"draft-seal", verb_draft_seal, " name "},
    {"draft-drop", verb_draft_drop, " name "},
    {"stop", verb_stop, " "},
};

static const struct arg {
    const char *name, *kind;
    json_type types[2];
} arg_kinds[] = {
    {"name", "text", {JSON_STRING, JSON_STRING}},
    {"snapshot", "text", {JSON_STRING, JSON_STRING}},
    {"disks", "a list", {JSON_ARRAY, JSON_ARRAY}},
    {"compare", "true or false", {JSON_TRUE, JSON_FALSE}},
    {"connections", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"grace_s", "a number", {JSON_INTEGER, JSON_REAL}},
    {"key", "text", {JSON_STRING, JSON_STRING}},
    {"sample", "a number", {JSON_INTEGER, JSON_REAL}},
};

/* One of the wrong kind must not be taken for one that is absent. */
static int check_kind(const char *name, const json_t *value, struct error **err)
{
    for (size_t i = 0; i < ARRAY_SIZE(arg_kinds); i++) {
        const struct arg *a = &arg_kinds[i];

        if (strcmp(a->name, name) == 0 && json_typeof(value) != a->types[0] &&
            json_typeof(value) != a->types[1])
            return error_set(err, EINVAL, "argument '%s' must be %s", name, a->kind);
    }
    return 0;
}

static int check_args(const struct verb *v, const json_t *args, struct error **err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)args, key, value) {
        _cleanup_free_ char *wanted = str_format(" %s ", key);

        if (!strstr(v->args, wanted))
            return error_set(err, EINVAL, "verb '%s' has no argument '%s'; it takes:%s", v->name,
                             key, v->args[1] ? v->args : " none");
        if (check_kind(key, value, err) < 0)
            return -EINVAL;
    }
    return 0;
}

int verb_run(struct engine *engine, const char *verb, const json_t *args, verb_event_fn *event,
             void *context, json_t **ret_result, struct error **err)
{
    struct call c = {.engine = engine, .args = args, .event = event, .context = context};

    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        int r;

        if (strcmp(verbs[i].name, verb) != 0)
            continue;
        r = check_args(&verbs[i], args, err);
        return r < 0 ? r : verbs[i].run(&c, ret_result, err);
    }
    return error_set(err, EINVAL, "unknown verb '%s'", verb);
}
