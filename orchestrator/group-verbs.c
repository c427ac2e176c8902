/* SPDX-License-Identifier: Apache-2.0 */
/* How the work of a group begins, and begins again after slipwayd was killed. */
#include "orchestrator/group-inside.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"

#define VERB_ANY JOB_VERB_COUNT

static bool key_is(const struct job *job, const char *key)
{
    _cleanup_free_ char *own = group_key(job);

    return own && strcmp(own, key) == 0;
}

/* Whoever is finished, or was taken back for good, is no member any more. */
static bool counts(const struct job *job, const char *key)
{
    return key_is(job, key) && job->state != JOB_DONE && job->state != JOB_CANCELLED;
}

/* Whom a verb of the group is for: its end, those that were cut over; all else, those that were not.
 * A member that is not ready for it takes part, and makes the verb be refused. */
static bool takes_part(const struct job *job, enum job_verb verb)
{
    enum job_state at = job->state == JOB_FAILED ? (enum job_state)job->failed_state : job->state;
    bool end = at == JOB_WINDOW || at == JOB_COMMITTING || at == JOB_ROLLING_BACK;

    if (verb == VERB_COMMIT || verb == VERB_ROLLBACK)
        return end;
    return !(job_states[at].flags & STATE_FLIPPED);
}

static json_t *members_locked(const struct daemon *d, const char *key, enum job_verb verb)
{
    json_t *names = json_array();

    for (const struct job *job = d->jobs; job; job = job->next)
        if (counts(job, key) && (verb == VERB_ANY || takes_part(job, verb)))
            json_array_insert_new(names, 0, json_string(job->name));
    return names;
}

static json_t *json_locked(const struct daemon *d, const char *key)
{
    const struct group *g = group_find_locked(d, key);
    _cleanup_json_ json_t *names = members_locked(d, key, VERB_ANY);
    const char *colon = strchr(key, ':');
    json_t *members = json_array(), *name, *j;
    size_t i;

    json_array_foreach(names, i, name) {
        const struct job *job = job_find_locked((struct daemon *)d, json_string_value(name));

        json_array_append_new(members, json_pack("{s:s, s:s}", "name", job->name, "state",
                                                 job_state_name(job->state)));
    }
    j = json_pack("{s:s, s:s?, s:o}", "name", key, "phase", g ? group_phase_name(g->phase) : NULL,
                  "members", members);
    json_object_set_new(j, "plan", colon ? json_stringn(key, (size_t)(colon - key)) : json_null());
    if (g && g->reason)
        json_object_set_new(j, "reason", json_string(g->reason));
    return j;
}

json_t *groups_json(struct daemon *d)
{
    _cleanup_json_ json_t *keys = json_object();
    json_t *list = json_array(), *none;
    const char *key;

    LOCK_FOR_SCOPE(&d->lock);
    for (const struct job *job = d->jobs; job; job = job->next) {
        _cleanup_free_ char *own = group_key(job);

        if (own && counts(job, own))
            json_object_set_new(keys, own, json_null());
    }
    json_object_foreach(keys, key, none)
        json_array_append_new(list, json_locked(d, key));
    return list;
}

static struct group *group_new(const char *key, json_t *members, enum group_phase phase)
{
    struct group *g = mem_new(1, sizeof(*g));

    g->key = str_dup(key);
    g->members = json_incref(members);
    g->phase = phase;
    return g;
}

void group_free(struct group *g)
{
    free(g->key);
    free(g->reason);
    json_decref(g->members);
    free(g);
}

void group_unlink_locked(struct daemon *d, struct group *g)
{
    for (struct group **p = &d->groups; *p; p = &(*p)->next)
        if (*p == g) {
            *p = g->next;
            return;
        }
}

void groups_free(struct daemon *d)
{
    while (d->groups) {
        struct group *next = d->groups->next;

        group_free(d->groups);
        d->groups = next;
    }
}

static void unclaim_locked(struct daemon *d, const json_t *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct job *job = job_find_locked(d, json_string_value(json_array_get(members, i)));

        job->active = false;
        job_tell_locked(d, job);
    }
}

/* All or none.  Whoever is failed is checked, too: a group does not begin with half of its members
 * in need of another verb. */
static int claim_all_locked(struct daemon *d, const char *key, json_t *members,
                            enum job_verb verb, struct error **err)
{
    struct job *job;
    json_t *name;
    size_t i;

    if (json_array_size(members) == 0)
        return error_set(err, ENOENT, "there is no group named '%s' with members to %s; 'slipway "
                         "group list' shows them", key, job_verb_name(verb));
    if (group_find_locked(d, key))
        return error_set(err, EBUSY, "group %s is at work already; 'slipway group list' shows how "
                         "far it is", key);
    json_array_foreach(members, i, name) {
        _cleanup_error_ struct error *failure = NULL;
        int r = verb_claim_locked(d, json_string_value(name), verb, &job, &failure);

        if (r == 0)
            continue;
        unclaim_locked(d, members, i);
        return error_set(err, r == -EBUSY ? EBUSY : EPERM, "group %s: %s", key,
                         error_text(failure));
    }
    return 0;
}

static int begin_member(struct daemon *d, const char *name, enum job_verb verb, const json_t *body,
                        struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    struct job *job;

    pthread_mutex_lock(&d->lock);
    job = job_find_locked(d, name);
    job->group_point = GROUP_NOWHERE;
    pthread_mutex_unlock(&d->lock);
    return verb_begin(d, job, verb, body, &answer, err);
}

/* From here on nothing fails for the caller: a member that cannot begin takes the others back. */
static void begin_all(struct daemon *d, struct group *g, enum job_verb verb, const json_t *body,
                      const json_t *members)
{
    json_t *name;
    size_t i;

    json_array_foreach((json_t *)members, i, name) {
        _cleanup_error_ struct error *err = NULL;
        _cleanup_free_ char *reason = NULL;

        if (begin_member(d, json_string_value(name), verb, body, &err) == 0)
            continue;
        log_about(LOG_LEVEL_WARNING, LOG_KIND_GROUP, json_string_value(name), NULL,
                  "group %s: %s: %s", g ? g->key : "", json_string_value(name), error_text(err));
        reason = str_format("%s: %s", json_string_value(name), error_text(err));
        if (g)
            group_set_phase(d, g, PHASE_REVERTING, reason, NULL);
    }
}

/* What kind of cutover it is must be known of members that begin only when slipwayd is started again;
 * one that is not asked for by a group forgets it (verbs.c). */
static int remember_instant(struct daemon *d, const json_t *members, const json_t *body,
                            struct error **err)
{
    json_t *instant = json_object_get(body, "instant"), *name;
    size_t i;
    int r = 0;

    json_array_foreach((json_t *)members, i, name) {
        struct job *job;

        pthread_mutex_lock(&d->lock);
        job = job_find_locked(d, json_string_value(name));
        pthread_mutex_unlock(&d->lock);
        if (r == 0 && json_is_boolean(instant) && !job_fact(job, "instant_flipped"))
            r = job_set_fact(d, job, "instant", json_incref(instant), err);
    }
    return r;
}

/* Cutovers are written down before the first member begins. */
static int begin_as_one(struct daemon *d, const char *key, json_t *members, enum job_verb verb,
                        const json_t *body, struct error **err)
{
    enum group_phase phase = verb == VERB_SYNC ? PHASE_SYNC : PHASE_CUTOVER;
    struct group *g = group_new(key, members, phase);
    int r = 0;

    if (phase == PHASE_CUTOVER)
        r = remember_instant(d, members, body, err);
    job_trace("before-group", "cutover");
    if (r == 0 && phase == PHASE_CUTOVER)
        r = journal_put_group(d->journal, key, group_phase_name(phase), members, NULL, err);
    pthread_mutex_lock(&d->lock);
    if (r < 0) {
        unclaim_locked(d, members, json_array_size(members));
        group_free(g);
    } else {
        g->next = d->groups;
        d->groups = g;
    }
    pthread_mutex_unlock(&d->lock);
    if (r < 0)
        return r;
    job_trace("after-group", "cutover");
    events_record(d->events, NULL, json_pack("{s:s, s:s, s:s}", "event", "group", "group", key,
                                             "phase", group_phase_name(phase)));
    begin_all(d, g, verb, body, members);
    return 0;
}

int group_run(struct daemon *d, const char *key, enum job_verb verb, const json_t *body,
              json_t **ret, struct error **err)
{
    _cleanup_json_ json_t *members = NULL;
    int r;

    pthread_mutex_lock(&d->lock);
    members = members_locked(d, key, verb);
    r = claim_all_locked(d, key, members, verb, err);
    pthread_mutex_unlock(&d->lock);
    if (r < 0)
        return r;
    if (verb == VERB_CUTOVER || verb == VERB_SYNC)
        r = begin_as_one(d, key, members, verb, body, err);
    else
        begin_all(d, NULL, verb, body, members);
    if (r < 0)
        return r;
    LOCK_FOR_SCOPE(&d->lock);
    *ret = json_locked(d, key);
    return 0;
}

int group_cutover_of(struct daemon *d, const char *migration, const json_t *body,
                     struct error **err)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *key = NULL;
    struct job *job;
    bool works = false;

    pthread_mutex_lock(&d->lock);
    job = job_find_locked(d, migration);
    key = job ? group_key(job) : NULL;
    works = key && group_find_locked(d, key);
    pthread_mutex_unlock(&d->lock);
    if (works)
        return 0;
    return key ? group_run(d, key, VERB_CUTOVER, body, &answer, err)
               : verb_run(d, migration, VERB_CUTOVER, body, &answer, err);
}

int group_check_alone(struct daemon *d, const struct job *job, struct error **err)
{
    _cleanup_free_ char *key = group_key(job);
    _cleanup_json_ json_t *members = NULL;

    if (!key)
        return 0;
    LOCK_FOR_SCOPE(&d->lock);
    members = members_locked(d, key, VERB_CUTOVER);
    if (json_array_size(members) < 2 || group_decided_locked(d, job))
        return 0; /* the others are gone forward */
    return error_set(err, EPERM, "migration %s is in group %s, which is cut over as one: slipway "
                     "group cutover %s", job->name, key, key);
}

int group_check_cancel(struct daemon *d, const struct job *job, struct error **err)
{
    LOCK_FOR_SCOPE(&d->lock);
    if (!group_decided_locked(d, job))
        return 0;
    return error_set(err, EPERM,
                     "migration %s cannot be given up: its group has flipped, so it goes "
                     "forward only; slipway cutover %s goes on",
                     job->name, job->name);
}

/* Members that a killed slipwayd had not begun begin now; their threads are started by
 * runner_resume(). */
static int resume_cutover(struct daemon *d, struct group *g, struct error **err)
{
    json_t *name;
    size_t i;

    json_array_foreach(g->members, i, name) {
        struct job *job = job_find_locked(d, json_string_value(name));
        _cleanup_error_ struct error *failure = NULL;
        enum job_state to = JOB_STOPPING;

        if (!job || job_states[job->state].flags & STATE_ACTIVE)
            continue;
        if (!job_may_follow(job->state, to) ||
            job_transition(d, job, to, NULL, &failure) < 0)
            return group_set_phase(d, g, PHASE_REVERTING, "a member could not begin again", err);
    }
    return 0;
}

static int load_one(struct daemon *d, const json_t *row, struct error **err)
{
    const char *phase = field_string(row, "phase", "");
    struct group *g = group_new(field_string(row, "name", "?"), json_object_get(row, "members"),
                                PHASE_REVERTING);
    const char *member;

    for (enum group_phase p = PHASE_CUTOVER; p < PHASE_SYNC; p++)
        if (strcmp(group_phase_name(p), phase) == 0)
            g->phase = p;
    str_replace(&g->reason, field_string(row, "reason", NULL));
    g->next = d->groups;
    d->groups = g;
    if (g->phase == PHASE_CUTOVER)
        return resume_cutover(d, g, err);
    member = json_string_value(json_array_get(g->members, 0));
    if (member)
        group_settle(d, member);
    return 0;
}

int groups_load(struct daemon *d, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    json_t *row;
    size_t i;
    int r = journal_list_groups(d->journal, &rows, err);

    if (r < 0)
        return r;
    json_array_foreach(rows, i, row) {
        r = load_one(d, row, err);
        if (r < 0)
            return r;
    }
    return 0;
}
