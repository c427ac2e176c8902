/* SPDX-License-Identifier: Apache-2.0 */
/* The known sources.  Their passwords are in STATE/secrets, encrypted, not in the journal. */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"
#include "orchestrator/params.h"
#include "orchestrator/seal.h"
#include "orchestrator/secrets.h"

DEFINE_CLEANUP(char *, seal_text_free)

static const struct field source_fields[] = {
    {"name", FIELD_STRING, true},
    {"uri", FIELD_STRING, true},
    {"password", FIELD_STRING, false},
    {"check", FIELD_BOOL, false},
    {NULL},
};

static int leftover_add(void *context, const json_t *thing, int64_t *ret_key, struct error **err)
{
    struct leftover_owner *owner = context;
    int r = journal_add_leftover(owner->daemon->journal, owner->source, owner->migration,
                                 owner->pass, thing, ret_key, err);

    job_trace("leftover", "added");
    return r;
}

static int leftover_remove(void *context, int64_t key, struct error **err)
{
    struct leftover_owner *owner = context;
    int r = journal_remove_leftover(owner->daemon->journal, key, err);

    job_trace("leftover", "removed");
    return r;
}

int sources_open(struct daemon *d, struct leftover_owner *owner, const struct source_ops **ret_ops,
                 struct source **ret_source, struct error **err)
{
    _cleanup_json_ json_t *row = NULL;
    _cleanup_(seal_text_freep) char *password = NULL;
    _cleanup_error_ struct error *failure = NULL;
    const struct source_ops *ops;
    int r = journal_get_source(d->journal, owner->source, &row, err);

    if (r < 0)
        return r;
    if (field_integer(row, "secret", 0)) {
        r = secrets_get(d->secrets, owner->source, &password, &failure);
        if (r < 0)
            return error_set(err, -r, "the password of source %s cannot be read: %s; put that "
                             "right, or remove the source and add it again", owner->source,
                             error_text(failure));
    }
    ops = source_ops_for(field_string(row, "uri", ""), err);
    if (!ops)
        return -EINVAL;
    owner->daemon = d;
    owner->journal = (struct source_journal){
        .add = leftover_add, .remove = leftover_remove, .context = owner};
    r = ops->open(field_string(row, "uri", ""), password, &owner->journal, ret_source, err);
    if (r < 0)
        return error_prefix(err, "source %s", owner->source);
    *ret_ops = ops;
    return 0;
}

void sources_take_plain(struct daemon *d)
{
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_json_ json_t *rows = NULL;
    json_t *row;
    size_t i;

    if (journal_list_sources(d->journal, &rows, &failure) < 0)
        log_about(LOG_LEVEL_WARNING, LOG_KIND_SECRET, NULL, NULL, "%s", error_text(failure));
    json_array_foreach(rows, i, row) {
        _cleanup_error_ struct error *err = NULL;
        const char *name = field_string(row, "name", "");

        if (field_integer(row, "secret", 0) && secrets_take_plain(d->secrets, name, &err) < 0)
            log_about(LOG_LEVEL_WARNING, LOG_KIND_SECRET, NULL, name,
                      "the password of source %s: %s", name, error_text(err));
    }
}

static json_t *source_json(const char *name, const char *uri, bool secret)
{
    return json_pack("{s:s, s:s, s:b}", "name", name, "uri", uri, "password", secret);
}

static int source_check(const char *uri, const char *password, bool reach, struct error **err)
{
    const struct source_ops *ops = source_ops_for(uri, err);
    struct source *source;
    int r;

    if (!ops)
        return -EINVAL;
    if (!reach)
        return 0;
    r = ops->open(uri, password, NULL, &source, err);
    if (r < 0)
        return r;
    ops->close(source);
    return 0;
}

int sources_add(struct daemon *d, const json_t *body, json_t **ret_source, struct error **err)
{
    const char *name = field_string(body, "name", ""), *uri = field_string(body, "uri", "");
    const char *password = field_string(body, "password", NULL);
    _cleanup_json_ json_t *row = NULL;
    int r = fields_check(body, source_fields, "a source", err);

    if (r == 0)
        r = name_check("source", name, err);
    if (r < 0)
        return r;
    if (journal_get_source(d->journal, name, &row, NULL) == 0)
        return error_set(err, EEXIST, "source %s exists already (%s): remove it first or choose "
                         "another name", name, field_string(row, "uri", ""));
    r = source_check(uri, password, field_bool(body, "check", true), err);
    if (r < 0)
        return r;
    r = password ? secrets_put(d->secrets, name, password, err) : 0;
    if (r < 0)
        return error_prefix(err, "the password of source %s", name);
    events_begin(d->events);
    r = journal_add_source(d->journal, name, uri, password != NULL, err);
    if (r == 0) {
        *ret_source = source_json(name, uri, password != NULL);
        events_record_begun(d->events, NULL, json_pack("{s:s, s:O}", "event", "source", "source",
                                                       *ret_source));
    }
    events_end(d->events);
    return r < 0 ? error_prefix(err, "source %s", name) : 0;
}

static const char *source_user_locked(struct daemon *d, const char *name)
{
    for (struct job *job = d->jobs; job; job = job->next)
        if (strcmp(job->source, name) == 0)
            return job->name;
    return NULL;
}

int sources_remove(struct daemon *d, const char *name, struct error **err)
{
    _cleanup_error_ struct error *left = NULL;
    _cleanup_json_ json_t *row = NULL;
    char user[64] = "";
    const char *found;
    int r = journal_get_source(d->journal, name, &row, err);

    if (r < 0)
        return r;
    pthread_mutex_lock(&d->lock);
    found = source_user_locked(d, name);
    snprintf(user, sizeof(user), "%s", found ? found : "");
    pthread_mutex_unlock(&d->lock);
    if (*user)
        return error_set(err, EBUSY, "source %s is used by migration %s: remove that first", name,
                         user);
    events_begin(d->events);
    r = journal_remove_source(d->journal, name, err);
    if (r == 0)
        events_record_begun(d->events, NULL, json_pack("{s:s, s:s}", "event", "source-removed",
                                                       "source", name));
    events_end(d->events);
    if (r == 0 && secrets_remove(d->secrets, name, &left) < 0)
        log_about(LOG_LEVEL_WARNING, LOG_KIND_SECRET, NULL, name,
                  "the password of source %s stays: %s", name, error_text(left));
    return r;
}

int sources_list(struct daemon *d, json_t **ret_sources, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    json_t *sources, *row;
    size_t i;
    int r = journal_list_sources(d->journal, &rows, err);

    if (r < 0)
        return r;
    sources = json_array();
    json_array_foreach(rows, i, row)
        json_array_append_new(sources, source_json(field_string(row, "name", ""),
                                                   field_string(row, "uri", ""),
                                                   field_integer(row, "secret", 0)));
    *ret_sources = sources;
    return 0;
}

int sources_list_vms(struct daemon *d, const char *name, json_t **ret_vms, struct error **err)
{
    struct leftover_owner owner = {.source = name, .migration = ""};
    const struct source_ops *ops;
    struct source *source;
    int r = sources_open(d, &owner, &ops, &source, err);

    if (r < 0)
        return r;
    r = ops->list(source, ret_vms, err);
    ops->close(source);
    return r;
}
