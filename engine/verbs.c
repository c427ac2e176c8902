/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the control socket: what is checked of every call, and the verbs of no area. */
#include <stdio.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/diff.h"
#include "engine/failback.h"
#include "engine/verbcall.h"
#include "engine/verify.h"

const char *text_arg(const struct call *c, const char *name)
{
    return json_string_value(json_object_get(c->args, name));
}

int need_name(const struct call *c, const char **ret_name, struct error **err)
{
    *ret_name = text_arg(c, "name");
    return *ret_name ? 0 : error_set(err, EINVAL, "this verb needs a name");
}

int generation_arg(const struct call *c, uint64_t *ret_generation, struct error **err)
{
    const json_t *j = json_object_get(c->args, "generation");

    if (j && json_integer_value(j) < 0)
        return error_set(err, EINVAL, "a generation is a number from 0 on");
    *ret_generation = j ? (uint64_t)json_integer_value(j) : NO_GENERATION;
    return 0;
}

_Static_assert(DIGEST_SIZE == 16, "a token in the superblock is a digest of the text");

bool token_done(const struct call *c, uint8_t token[16], const uint8_t **ret_token)
{
    const char *text = text_arg(c, "token");
    struct super root = superfile_get(&c->engine->super);

    *ret_token = NULL;
    if (!text)
        return false;
    digest_block(text, strlen(text), token);
    *ret_token = token;
    return memcmp(root.token, token, sizeof(root.token)) == 0;
}

uint64_t grace_arg(const struct call *c, uint64_t fallback_s)
{
    const json_t *j = json_object_get(c->args, "grace_s");

    return (json_is_number(j) && json_number_value(j) >= 0 && json_number_value(j) < 1e6
                ? (uint64_t)(json_number_value(j) * (double)NS_PER_S)
                : fallback_s * NS_PER_S);
}

void report_progress(const struct progress_report *p, void *context)
{
    struct call *c = context;
    uint64_t now = clock_now_ns();
    double rate, left;
    json_t *event;

    if (strcmp(c->last_phase, p->phase) != 0) {
        snprintf(c->last_phase, sizeof(c->last_phase), "%s", p->phase);
        meter_begin(&c->meter, now, p->done_bytes);
    } else if (now - c->last_event_ns < 250 * NS_PER_MS) {
        return;
    }
    c->last_event_ns = now;
    rate = meter_rate(&c->meter, now, p->done_bytes);
    left = p->total_bytes > p->done_bytes ? (double)(p->total_bytes - p->done_bytes) : 0;
    event = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f}", "event", "progress", "phase", p->phase,
                      "done_bytes", (json_int_t)p->done_bytes, "total_bytes",
                      (json_int_t)p->total_bytes, "written_bytes", (json_int_t)p->written_bytes,
                      "same_bytes", (json_int_t)p->same_bytes, "rate_bytes_s", rate);
    json_object_set_new(event, "eta_s", rate > 0 ? json_real(left / rate) : json_null());
    c->event(event, c->context);
    json_decref(event);
}

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

int parse_sources(const struct call *c, struct sync_source sources[DISKS_MAX], unsigned *ret_count,
                  struct error **err)
{
    const json_t *disks = json_object_get(c->args, "disks");
    size_t count = json_array_size(disks);
    int r = 0;

    if (count == 0 || count > DISKS_MAX)
        return error_set(err, EINVAL, "name 1 to %d disks with their NBD URIs", DISKS_MAX);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = parse_source(json_array_get(disks, i), &sources[i], err);
    *ret_count = (unsigned)count;
    return r;
}

static int verb_status(struct call *c, json_t **ret_result, struct error **err)
{
    *ret_result = engine_status(c->engine);
    return 0;
}

static int verb_cancel(struct call *c, json_t **ret_result, struct error **err)
{
    struct engine *e = c->engine;
    bool diff;

    LOCK_FOR_SCOPE(&e->lock);
    diff = diff_cancel_all_locked(e);
    if (e->sync)
        atomic_store(&e->sync->cancel, true);
    if (e->verify)
        atomic_store(&e->verify->cancel, true);
    if (e->failback)
        atomic_store(&e->failback->cancel, true);
    *ret_result = json_pack("{s:b}", "cancelled", diff || e->sync || e->verify || e->failback);
    return 0;
}

static int verb_stop(struct call *c, json_t **ret_result, struct error **err)
{
    if (c->engine->options.stop)
        c->engine->options.stop(c->engine->options.stop_context);
    *ret_result = json_object();
    return 0;
}

static const struct verb verbs_plain[] = {
    {"status", verb_status, " "},
    {"cancel", verb_cancel, " "},
    {"stop", verb_stop, " "},
    {0},
};

static const struct verb *const tables[] = {verbs_plain, verbs_sync, verbs_proof, verbs_draft,
                                            verbs_owner, verbs_limit, verbs_load,
                                            verbs_failback, verbs_room, verbs_diff};

static const struct arg {
    const char *name, *kind;
    json_type types[2];
} arg_kinds[] = {
    {"name", "text", {JSON_STRING, JSON_STRING}},
    {"snapshot", "text", {JSON_STRING, JSON_STRING}},
    {"disks", "a list", {JSON_ARRAY, JSON_ARRAY}},
    {"compare", "true, false, \"digest\" or \"bytes\"", {JSON_TRUE, JSON_FALSE}},
    {"compare", "true, false, \"digest\" or \"bytes\"", {JSON_STRING, JSON_STRING}},
    {"connections", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"grace_s", "a number", {JSON_INTEGER, JSON_REAL}},
    {"instant", "true or false", {JSON_TRUE, JSON_FALSE}},
    {"since", "text", {JSON_STRING, JSON_STRING}},
    {"token", "text", {JSON_STRING, JSON_STRING}},
    {"keep", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"space_budget_bytes", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"when_full", "text", {JSON_STRING, JSON_STRING}},
    {"generation", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"from", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"to", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"fast", "true or false", {JSON_TRUE, JSON_FALSE}},
    {"key", "text", {JSON_STRING, JSON_STRING}},
    {"bytes", "true or false", {JSON_TRUE, JSON_FALSE}},
    {"repair", "true or false", {JSON_TRUE, JSON_FALSE}},
    {"sample", "a number", {JSON_INTEGER, JSON_REAL}},
    {"final", "true or false", {JSON_TRUE, JSON_FALSE}},
    {"check", "text", {JSON_STRING, JSON_STRING}},
    {"disk", "text", {JSON_STRING, JSON_STRING}},
    {"source_bytes_s", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"source_iops", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"target_bytes_s", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
    {"target_iops", "a whole number", {JSON_INTEGER, JSON_INTEGER}},
};

/* One of the wrong kind must not be taken for one that is absent. */
static int check_kind(const char *name, const json_t *value, struct error **err)
{
    const char *kind = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(arg_kinds); i++) {
        const struct arg *a = &arg_kinds[i];

        if (strcmp(a->name, name) != 0)
            continue;
        if (json_typeof(value) == a->types[0] || json_typeof(value) == a->types[1])
            return 0;
        kind = a->kind;
    }
    return kind ? error_set(err, EINVAL, "argument '%s' must be %s", name, kind) : 0;
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

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        for (const struct verb *v = tables[i]; v->name; v++)
            if (strcmp(v->name, name) == 0)
                return v;
    return NULL;
}

int verb_run(struct engine *engine, const char *verb, const json_t *args, verb_event_fn *event,
             void *context, json_t **ret_result, struct error **err)
{
    struct call c = {.engine = engine, .args = args, .event = event, .context = context};
    const struct verb *v = find_verb(verb);
    int r;

    if (!v)
        return error_set(err, EINVAL, "unknown verb '%s'", verb);
    r = check_args(v, args, err);
    return r < 0 ? r : v->run(&c, ret_result, err);
}
